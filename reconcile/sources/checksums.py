"""Checksums of a source by bucket, computed here from its rows, for sources that cannot compute them where they lie.

The hash is that of `reconcile.pushdown.forms`, which databases compute alike, so checksums of any two sources compare.
"""

from collections import defaultdict
from typing import Final

import duckdb

from core.errors import ConfigurationError
from reconcile.compare.tree import Leaf, Leaves
from reconcile.plans import PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.pushdown.forms import has_form, row_hash
from reconcile.read.sides import settled, stored_rows
from reconcile.rules import normalised
from reconcile.sources.model import Predicate, Source, wanted

_STATEMENT: Final = (
    "select {bucket}, count(*), sum({checksum}::hugeint)::varchar from (select {values} from batch) group by 1"
)


def check_forms(columns: tuple[PlannedColumn, ...]) -> None:
    """Refuse columns whose values no two engines spell alike.

    Args:
        columns: the columns.

    Raises:
        ConfigurationError: naming the column.
    """
    for column in columns:
        if not has_form(column.data_type):
            raise ConfigurationError(
                f"{column.name} is {column.data_type}, which engines spell differently: it has no checksum"
            )


def local_checksums(
    source: Source, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate
) -> Leaves:
    """Return the checksums of a source's rows; its rows pass through, and none is kept.

    Args:
        source: the source.
        columns: the compared columns under the source's names, the key first.
        buckets: how keys are put into buckets.
        predicate: which rows.

    Returns:
        A leaf for each bucket that holds rows.

    Raises:
        UnreadableError: when the source cannot be read whole.
        ConfigurationError: when a column has no checksum.
    """
    check_forms(columns)
    statement = _statement(columns, buckets)
    counts: dict[int, int] = defaultdict(int)
    totals: dict[int, int] = defaultdict(int)
    rows = source.rows(wanted(columns), predicate)
    with duckdb.connect(config={"threads": 1}) as connection:
        for part in rows.parts:
            for batch in stored_rows(columns, part.read, settled, part.name):
                connection.register("batch", batch)
                for bucket, count, total in connection.execute(statement).fetchall():
                    counts[bucket] += count
                    totals[bucket] += int(total)
    rows.check()
    return {bucket: Leaf(count, totals[bucket]) for bucket, count in counts.items()}


def _statement(columns: tuple[PlannedColumn, ...], buckets: KeyBuckets) -> str:
    values = [f"{normalised(c.rule, c.data_type, f'c{n}')} as c{n}" for n, c in enumerate(columns)]
    fields = [(column.data_type, f"c{number}") for number, column in enumerate(columns)]
    return _STATEMENT.format(
        bucket=buckets.sql("duckdb"), checksum=row_hash(fields, "duckdb"), values=", ".join(values)
    )
