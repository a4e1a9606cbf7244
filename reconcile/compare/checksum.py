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
_GREATEST: Final = 2**63 - 1


@dataclass(frozen=True)
class KeyRanges:
    """Ranges of an integer key, all of one length.

    Attributes:
        first: the least key of the first range, a multiple of the ranges' length; lesser keys are put into it, too.
        last: the greatest key of the last one; so are greater keys.
        shift: bits of a key that are dropped, so that a range is of 2^shift keys.
    """

    first: int
    last: int
    shift: int


@dataclass(frozen=True)
class Buckets:
    """How keys are put into buckets.

    Attributes:
        ranges: ranges of an integer key; None to take the key's hash.
        keys: how many columns the key has.
    """

    ranges: KeyRanges | None
    keys: int

    def sql(self) -> str:
        """Return the SQL of a row's bucket."""
        if self.ranges is not None:
            first, last, shift = self.ranges.first, self.ranges.last, self.ranges.shift
            # Shifted before it is subtracted: the difference of two keys may exceed 64 bits. Null keys are a bucket of
            # their own.
            inside = f"case when c0 is not null then least(greatest(c0, {first}), {last}) end"
            return f"coalesce((({inside})::bigint >> {shift}) - ({first >> shift}), -1)"
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


def buckets_for(plan: ComparisonPlan, bounds: Sequence[tuple[Any, Any]]) -> Buckets:
    """Return how to put keys into buckets.

    Args:
        plan: the comparison.
        bounds: the least and the greatest value of the first key column, of each side that has any.

    Returns:
        Ranges of an integer key, since neighbours often differ together and lie together; else the key's hash.
    """
    if not bounds or plan.key[0].data_type != "int64":
        return Buckets(None, len(plan.key))
    return Buckets(spanned(bounds), len(plan.key))


def spanned(bounds: Sequence[tuple[Any, Any]]) -> KeyRanges:
    """Return ranges of what all sides span: one stray key on one side must not put all others into one bucket.

    Args:
        bounds: the least and the greatest key of each side; one at least.
    """
    low, high = sorted((max(int(low) for low, _ in bounds), min(int(high) for _, high in bounds)))
    bits = (high - low).bit_length()
    # Ranges begin at a multiple of a power of two, so that checksums can be kept while keys are added at the end.
    first = low >> bits << bits
    bits += (high >> bits) != (low >> bits)
    last = min(first + 2**bits - 1, _GREATEST)
    return KeyRanges(first, last, max(0, bits - _BUCKET_BITS))


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
