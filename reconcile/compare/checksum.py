"""Checksums by bucket: which keys need a join at all, from a scan of each side that keeps nothing of its rows.

A row's checksum is the engine's 64-bit hash of its normalised values, in which every value has its type, its length
and its place: moved separators, null against the empty text, a float's last bit, all change it. A bucket's is the sum
of its rows' (exact, as 128-bit integers, so neither order nor doubled rows cancel out) with their number. Buckets that
agree are taken as equal: two different buckets do so by chance once in 2^64 times. The others are joined by value. A
key that stands more than once, row for row alike on both sides, agrees; only the join by value calls it duplicated.

The leaves of the files of a snapshot are kept (`reconcile.compare.tree`): of a file that is still the same, the next
run reads nothing unless a bucket of its keys differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from core.contracts import DataType
from core.errors import ConfigurationError
from reconcile.compare.tree import Leaf, Leaves, differing
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.rules import EXACT, Rule

BUCKETS: Final = 65_536
"""Many small buckets beat few large ones: where one row differs, fewer rows are read again."""
_HASH_BITS: Final = 64
_BUCKET_BITS: Final = 16


@dataclass(frozen=True)
class Buckets:
    """How keys are put into buckets.

    Attributes:
        shift: bits of an integer key that are dropped; None to take the key's hash.
        keys: how many columns the key has.
    """

    shift: int | None
    keys: int

    def sql(self) -> str:
        """Return the SQL of a row's bucket."""
        if self.shift is not None:
            # Null keys are a bucket of their own; there are no negative ones.
            return f"coalesce(c0 >> {self.shift}, -1)"
        columns = ", ".join(f"c{number}" for number in range(self.keys))
        return f"(hash({columns}) >> {_HASH_BITS - _BUCKET_BITS})::bigint"


def check_hashable(plan: ComparisonPlan) -> None:
    """Refuse a comparison whose rules checksums cannot follow.

    Args:
        plan: the comparison.

    Raises:
        ConfigurationError: naming the column; values that may differ a little cannot be hashed alike.
    """
    reason = unhashable(plan)
    if reason:
        raise ConfigurationError(f"{plan.name}: cannot be compared by checksum: {reason}; use the mode typed")


def unhashable(plan: ComparisonPlan) -> str | None:
    """Return why checksums cannot stand for the values of a comparison; None when they can.

    Args:
        plan: the comparison.
    """
    if plan.warehouse.in_flight is not None:
        return "rows in flight are told one by one"
    for column in plan.columns:
        rule: Rule = column.rule
        if rule.absolute is not None or rule.relative is not None:
            return f"{column.name} has a tolerance"
        if (rule.nan, rule.zero) != (EXACT.nan, EXACT.zero):
            return f"{column.name} tells values apart that hash alike"
    return None


def buckets_for(plan: ComparisonPlan, low: Any, high: Any) -> Buckets:
    """Return how to put keys into buckets.

    Args:
        plan: the comparison.
        low: the least value of the first key column on both sides; None when there is none.
        high: the greatest.

    Returns:
        Ranges of an integer key, since neighbours often differ together and lie together; else the key's hash.
    """
    is_range = isinstance(low, int) and isinstance(high, int) and low >= 0 and plan.key[0].data_type == "int64"
    shift = max(0, int(high).bit_length() - _BUCKET_BITS) if is_range else None
    return Buckets(shift, len(plan.key))


@dataclass(frozen=True)
class Hashing:
    """How a row is hashed, as SQL over numbered columns.

    Attributes:
        bucket: its bucket.
        checksum: its checksum, an integer from zero up.
    """

    bucket: str
    checksum: str


def engine_hashing(buckets: Buckets, columns: tuple[PlannedColumn, ...]) -> Hashing:
    """Return the hashing of the engine's own function.

    Args:
        buckets: how keys are put into buckets.
        columns: the compared columns.
    """
    values = ", ".join(hashed(column.data_type, f"c{number}") for number, column in enumerate(columns))
    return Hashing(buckets.sql(), f"hash({values})")


def hashed(data_type: DataType, value: str) -> str:
    """Return the arguments of DuckDB's `hash` that tell a value from every other one of its type.

    Args:
        data_type: type of the value.
        value: its SQL.
    """
    # DuckDB's hash of an array leaves out how many elements it has: null and [] hash alike, and so do [7] and [0, 7]
    # where no other value goes before them.
    return f"{value}, len({value})" if data_type.startswith("array<") else value


def leaves(connection: duckdb.DuckDBPyConnection, view: str, hashing: Hashing) -> Leaves:
    """Return the checksums of the rows a view shows.

    Args:
        connection: where the view stands.
        view: its name.
        hashing: how a row is hashed.

    Returns:
        A leaf for each bucket that holds rows.
    """
    statement = (
        f"select {hashing.bucket} as bucket, count(*), sum(({hashing.checksum})::hugeint)::varchar "  # noqa: S608 - numbered columns of our own
        f"from {view} group by 1"
    )
    return {bucket: Leaf(rows, int(total)) for bucket, rows, total in connection.execute(statement).fetchall()}


def narrow(connection: duckdb.DuckDBPyConnection, buckets: Buckets, warehouse: Leaves, snapshot: Leaves) -> str:
    """Make the table of buckets that differ, and return the condition that a row is in one of them.

    Args:
        connection: where to make it.
        buckets: how keys are put into buckets.
        warehouse: the checksums of one side.
        snapshot: those of the other.

    Returns:
        SQL over the views' columns.
    """
    put_differing(connection, sorted(differing(warehouse, snapshot)))
    return in_differing(buckets.sql())


def put_differing(connection: duckdb.DuckDBPyConnection, found: Sequence[int]) -> None:
    """Make the table of buckets that differ.

    Args:
        connection: where to make it.
        found: the buckets.
    """
    connection.execute("create or replace temp table differing (bucket bigint)")
    if found:
        connection.execute("insert into differing select unnest(?::bigint[])", [list(found)])


def in_differing(bucket: str) -> str:
    """Return the condition that a row is in a bucket that differs.

    Args:
        bucket: SQL of the row's bucket.
    """
    return f"{bucket} in (select bucket from differing)"  # noqa: S608 - our own expression
