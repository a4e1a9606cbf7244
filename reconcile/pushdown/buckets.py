"""How keys are put into buckets, alike by BigQuery and by DuckDB.

An integer key goes by its leading bits, counted from the least key that both sides share, so that a bucket is a range
of keys: what differs together lies together, and a range of a key that the table is clustered by is read without the
rest. Any other key goes by its hash.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.identifiers import check_name
from reconcile.compare.checksum import spanned
from reconcile.plans import PlannedColumn
from reconcile.pushdown.forms import Dialect, row_hash

_BUCKET_BITS: Final = 16
_BUCKET_DIGITS: Final = _BUCKET_BITS // 4
_LAST: Final = 2**_BUCKET_BITS
"""The bucket of all keys beyond the greatest one that the ranges were made for."""
_BEFORE, _NULL = -1, -2
"""The bucket of all keys before the first range, and that of rows without a key."""
_GREATEST: Final = 2**63 - 1


@dataclass(frozen=True)
class KeyBuckets:
    """How keys are put into buckets.

    Attributes:
        key: the columns of the key.
        shift: bits of an integer key that are dropped; None to take the key's hash.
        first: where the first range begins: no negative key, since BigQuery shifts those without their sign, and a
            multiple of the length of a range.
    """

    key: tuple[PlannedColumn, ...]
    shift: int | None
    first: int = 0

    def sql(self, dialect: Dialect, names: tuple[str, ...] | None = None) -> str:
        """Return the SQL of a row's bucket.

        Args:
            dialect: which engine will read it.
            names: SQL of the key's columns; `c0`, `c1`, ... by default.
        """
        columns = names or tuple(f"c{number}" for number, _ in enumerate(self.key))
        if self.shift is None:
            return row_hash(_typed(self.key, columns), dialect, _BUCKET_DIGITS)
        [*_, first] = reversed(columns)
        # Shifted before it is subtracted, on both sides alike.
        inner = f"least(({first} >> {self.shift}) - {self.first >> self.shift}, {_LAST})"
        return f"case when {first} is null then {_NULL} when {first} < {self.first} then {_BEFORE} else {inner} end"

    def restriction(self, buckets: Iterable[int]) -> str:
        """Return the GoogleSQL condition that a row is in one of some buckets, over the columns of the table.

        Args:
            buckets: the buckets; one at least.
        """
        names = tuple(f"`{check_name(column.name)}`" for column in self.key)
        if self.shift is None:
            return f"{self.sql('googlesql', names)} in ({', '.join(map(str, sorted(buckets)))})"
        return self.ranges(names[0], buckets)

    def ranges(self, name: str, buckets: Iterable[int]) -> str:
        """Return the condition that an integer key is in one of some buckets, in any dialect of SQL.

        Args:
            name: SQL of the key's first column.
            buckets: the buckets; one at least.
        """
        if self.shift is None:
            raise ValueError("buckets of hashes are no ranges of keys")
        return f"({' or '.join(_ranges(name, self.shift, self.first, sorted(buckets)))})"


def key_buckets(key: tuple[PlannedColumn, ...], bounds: Sequence[tuple[Any, Any]]) -> KeyBuckets:
    """Return how to put keys into buckets.

    Args:
        key: the columns of the key.
        bounds: the least and the greatest value of the first one, of each side that has any; negative ones are one
            bucket together.
    """
    held = [(max(0, low), high) for low, high in bounds if isinstance(high, int) and high >= 0]
    if not held or key[0].data_type != "int64":
        return KeyBuckets(key, None)
    ranges = spanned(held)
    return KeyBuckets(key, ranges.shift, ranges.first)


def sample_restriction(key: tuple[PlannedColumn, ...], threshold: int) -> str:
    """Return the GoogleSQL condition that a key's hash is below a threshold, over the columns of the table.

    Args:
        key: the columns of the key.
        threshold: see `sample_condition`.
    """
    names = tuple(f"`{check_name(column.name)}`" for column in key)
    return f"{row_hash(_typed(key, names), 'googlesql')} < {threshold}"


def sample_condition(key: tuple[PlannedColumn, ...], threshold: int) -> str:
    """Return the condition that a key's hash is below a threshold, for DuckDB, over `c0`, `c1`, ...

    Args:
        key: the columns of the key.
        threshold: a share of 2^60.
    """
    return f"{row_hash(_typed(key, tuple(f'c{n}' for n, _ in enumerate(key))), 'duckdb')} < {threshold}"


def _typed(key: tuple[PlannedColumn, ...], names: tuple[str, ...]) -> list[Any]:
    return [(column.data_type, name) for column, name in zip(key, names, strict=True)]


def _ranges(name: str, shift: int, begin: int, buckets: list[int]) -> Iterator[str]:
    if _NULL in buckets:
        yield f"{name} is null"
    if _BEFORE in buckets:
        yield f"{name} < {begin}"
    for first, last in _runs([bucket for bucket in buckets if bucket >= 0]):
        low, high = begin + (first << shift), begin + ((last + 1) << shift) - 1
        if last == _LAST:
            yield f"{name} >= {min(low, _GREATEST)}"
        else:
            yield f"{name} between {low} and {min(high, _GREATEST)}"


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last number of each run of neighbours."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last
