"""PostgreSQL and Redshift through ADBC: Arrow batches from cursors, all of one transaction's snapshot.

The pin is a transaction, see `reconcile.sources.postgresql_session`. Parts of a table are ranges of pages (`ctid`),
which need no index; each is read by a connection of its own. Redshift is read by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import pyarrow as pa

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.compare.tree import Leaf, Leaves
from reconcile.plans import DatabaseSpec, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.sources.adbc import Held, as_wanted, typed
from reconcile.sources.checksums import check_forms, local_checksums
from reconcile.sources.model import EVERY_ROW, Part, Pin, Predicate, Rows, Wanted, wanted
from reconcile.sources.postgresql_checksums import (
    aggregate_sql,
    checksum_sql,
    in_buckets,
    in_sample,
    uncounted,
    unpushable,
)
from reconcile.sources.postgresql_session import Session, open_session
from reconcile.sources.sql import Bound, SqlTypes, identifier, where

_PAGES_A_PART: Final = 4_096
"""Least pages of 8 KiB that are worth a connection of their own."""
_MODERN: Final = 140_000
"""Version of PostgreSQL since which ranges of pages are scanned without looking at the others, and epochs are exact."""

_TYPES: Final = SqlTypes(integer="bigint", decimal="numeric", timestamp="timestamptz", text_order=' collate "C"')
_PLAIN: Final[dict[str, tuple[DataType, str]]] = {
    "int2": ("int64", "::bigint"),
    "int4": ("int64", "::bigint"),
    "int8": ("int64", ""),
    "float4": ("float64", "::float8"),
    "float8": ("float64", ""),
    "bool": ("bool", ""),
    "text": ("string", ""),
    "varchar": ("string", "::text"),
    "bpchar": ("string", "::text"),
    "name": ("string", "::text"),
    "uuid": ("string", "::text"),
    "bytea": ("bytes", ""),
    "date": ("date", ""),
    "time": ("time", ""),
    "timestamp": ("datetime", ""),
    "timestamptz": ("timestamp", ""),
    "json": ("json", "::text"),
    "jsonb": ("json", "::text"),
}
_ARRAYS: Final[dict[str, DataType]] = {
    "_text": "array<string>",
    "_varchar": "array<string>",
    "_int2": "array<int64>",
    "_int4": "array<int64>",
    "_int8": "array<int64>",
}
_NUMERIC_SCALE: Final = 9
_NUMERIC_WHOLE: Final = 29

_COLUMNS_SQL: Final = """
select column_name::text, udt_name::text, numeric_precision::bigint, numeric_scale::bigint
from information_schema.columns
where table_schema = $1 and table_name = $2
order by ordinal_position
"""
_PAGES_SQL: Final = """
select pg_relation_size(c.oid) / current_setting('block_size')::bigint
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'm')
"""


@dataclass(frozen=True)
class PostgresqlSource:
    """A table of PostgreSQL or Redshift, pinned by an open transaction.

    Attributes:
        table: the table.
        session: the transaction.
        workers: most parts that are read at once.
    """

    table: DatabaseSpec
    session: Session
    workers: int

    @property
    def pin(self) -> Pin:
        """See `Source.pin`."""
        return Pin(words=f"transaction snapshot {self.session.snapshot}" if self.session.snapshot else "transaction")

    def schema(self) -> dict[str, DataType | None]:
        """See `Source.schema`."""
        return {column.name: column.data_type for column in self._held.values()}

    def count(self, predicate: Predicate = EVERY_ROW) -> int:
        """See `Source.count`."""
        test = where(predicate, _placeholder, _TYPES)
        [[rows]] = self.session.all(Bound(f"select count(*) from {self._from} where {test.sql}", test.values))  # noqa: S608 - quoted names, bound values
        return int(rows)

    def rows(self, columns: tuple[Wanted, ...], predicate: Predicate = EVERY_ROW, restriction: str = "") -> Rows:
        """See `Source.rows`; a part is a range of pages.

        Args:
            columns: the columns wanted.
            predicate: which rows.
            restriction: a condition beside the predicate, of our own making; empty for none.
        """
        held = tuple(as_wanted(self._column(column.name), column) for column in dict.fromkeys(columns))
        read = partial(self._read, held, predicate, restriction)
        parts = tuple(Part(str(self.table), partial(read, pages)) for pages in self._ranges())
        return Rows(parts, receipt=self.pin.words)

    def rows_of_buckets(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, found: Iterable[int], predicate: Predicate
    ) -> Rows:
        """Return the rows of some buckets of keys.

        Args:
            columns: the compared columns under the table's names, the key first.
            buckets: how keys are put into buckets.
            found: the buckets; one at least.
            predicate: which rows.
        """
        return self.rows(wanted(columns), predicate, in_buckets(_names(buckets.key), buckets, found))

    def rows_of_sample(self, columns: tuple[PlannedColumn, ...], threshold: int, predicate: Predicate) -> Rows:
        """Return the rows whose key's hash is below a threshold.

        Args:
            columns: the compared columns under the table's names, the key first.
            threshold: a share of 2^60.
            predicate: which rows.
        """
        key = tuple(column for column in columns if column.is_key)
        return self.rows(wanted(columns), predicate, in_sample(key, _names(key), threshold))

    def unhashable(self, columns: tuple[PlannedColumn, ...]) -> str | None:
        """Return why the database cannot hash rows of some columns; None when it can.

        Args:
            columns: the columns under the table's names.
        """
        if self.table.kind == "redshift":
            return "Redshift was never seen to hash a row as others do, so that it only counts its rows"
        if self.session.version < _MODERN:
            return "a PostgreSQL before 14 cannot hash its rows"
        return next(filter(None, (unpushable(column, self._column(column.name)) for column in columns)), None)

    def uncounted(self, columns: tuple[PlannedColumn, ...]) -> str | None:
        """Return why the database cannot count the values of some columns; None when it can.

        Args:
            columns: the columns under the table's names.
        """
        return next(filter(None, (uncounted(column, self._column(column.name)) for column in columns)), None)

    def bounds(self, column: PlannedColumn, predicate: Predicate) -> tuple[int, int] | None:
        """Return the least and the greatest value of an integer column; None when there is none.

        Args:
            column: the column under the table's name.
            predicate: which rows.
        """
        test, name = where(predicate, _placeholder, _TYPES), identifier(column.name)
        statement = f"select min({name})::bigint, max({name})::bigint from {self._from} where {test.sql}"  # noqa: S608 - quoted names, bound values
        [[low, high]] = self.session.all(Bound(statement, test.values))
        return None if low is None else (int(low), int(high))

    def aggregates(
        self, columns: tuple[PlannedColumn, ...], measures: Sequence[tuple[int, str]], predicate: Predicate
    ) -> tuple[int, tuple[Any, ...]]:
        """Return the number of rows, and aggregates of them.

        Args:
            columns: the columns under the table's names.
            measures: the place of a column and what is wanted of it: `count`, `min`, `max` or `checksum`.
            predicate: which rows.

        Raises:
            UnreadableError: when a column holds a value that GoogleSQL has not.
        """
        test = where(predicate, _placeholder, _TYPES)
        source = f"{self._from} where {test.sql}"
        [[rows, *found, is_odd]] = self.session.all(
            Bound(aggregate_sql(columns, _names(columns), measures, source), test.values)
        )
        if is_odd:
            raise UnreadableError(
                f"{self.table}: holds a value that GoogleSQL has not, such as infinity; compare with the mode typed, "
                "which tells the column"
            )
        return int(rows), tuple(found)

    def checksums(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate = EVERY_ROW
    ) -> Leaves:
        """See `Source.checksums`; computed by the database where it spells every value as others do."""
        check_forms(columns)
        if self.unhashable(columns) is None:
            test = where(predicate, _placeholder, _TYPES)
            source = f"{self._from} where {test.sql}"
            found = self.session.all(Bound(checksum_sql(columns, _names(columns), buckets, source), test.values))
            if not any(is_odd for *_, is_odd in found):
                return {bucket: Leaf(rows, int(total)) for bucket, rows, total, _ in found}
        return local_checksums(self, columns, buckets, predicate)

    @cached_property
    def _held(self) -> dict[str, Held]:
        found = self.session.all(Bound(_COLUMNS_SQL, (self.table.schema, self.table.table)))
        if not found:
            raise UnreadableError(f"{self.table}: is not there, or not ours to see")
        return {name: _column(name, kind, precision, scale) for name, kind, precision, scale in found}

    @property
    def _from(self) -> str:
        return ".".join(map(identifier, self.table.parts))

    def _column(self, name: str) -> Held:
        if name not in self._held:
            raise UnreadableError(f"{self.table}: has no column {name!r}; it has {', '.join(self._held)}")
        return self._held[name]

    def _ranges(self) -> list[tuple[int, int | None]]:
        """Return ranges of pages, each for a part; the last is open, though nothing visible can lie beyond."""
        if self.session.snapshot is None or self.session.version < _MODERN:
            return [(0, None)]
        pages = [int(row[0]) for row in self.session.all(Bound(_PAGES_SQL, (self.table.schema, self.table.table)))]
        parts = min(self.workers, pages[0] // _PAGES_A_PART) if pages else 0
        if parts < 2:  # noqa: PLR2004 - one part is the whole
            return [(0, None)]
        cuts = [pages[0] * number // parts for number in range(parts)]
        return list(zip(cuts, [*cuts[1:], None], strict=True))

    def _read(
        self, held: tuple[Held, ...], predicate: Predicate, restriction: str, pages: tuple[int, int | None]
    ) -> Iterator[pa.RecordBatch]:
        test = where(predicate, _placeholder, _TYPES)
        tests = [f"({found})" for found in (test.sql, restriction) if found]
        values = list(test.values)
        for sign, page in ((">=", pages[0] or None), ("<", pages[1])):
            if page is not None:
                values.append(f"({page},0)")
                tests.append(f"ctid {sign} ${len(values)}::tid")
        select = ", ".join(column.select for column in held) or "null"
        statement = f"select {select} from {self._from} where {' and '.join(tests)}"  # noqa: S608 - quoted names, bound values
        for batch in self.session.batches(Bound(statement, tuple(values))):
            yield typed(batch, held, str(self.table)) if held else batch


@contextmanager
def open_postgresql(
    table: DatabaseSpec, workers: int, *, beside: DatabaseSpec | None = None, joining: PostgresqlSource | None = None
) -> Iterator[PostgresqlSource]:
    """Open a table, pinned for as long as it is open.

    Args:
        table: the table.
        workers: most parts that will be read at once.
        beside: a table of the same database that is to be opened in the same snapshot; None for none.
        joining: the table that was opened so, whose snapshot is joined; it must stay open for longer.

    Yields:
        The source.

    Raises:
        UnreadableError: when the connection cannot be made.
        ConfigurationError: when the driver is not installed.
    """
    pinned = joining.session.snapshot if joining is not None else None
    with open_session(table, beside=beside, joining=pinned) as session:
        yield PostgresqlSource(table, session, workers)


def _names(columns: tuple[PlannedColumn, ...]) -> tuple[str, ...]:
    return tuple(identifier(column.name) for column in columns)


def _placeholder(number: int, kind: str) -> str:
    return f"${number}::{kind}"


def _column(name: str, kind: str, precision: int | None, scale: int | None) -> Held:
    quoted = identifier(name)
    if kind == "numeric":
        is_bounded = precision is not None and scale is not None
        return Held(name, _decimal(precision, scale), f"{quoted}::text", is_text=True, is_bounded=is_bounded)
    if kind in _ARRAYS:
        # As they are, arrays of arrays would come flattened.
        return Held(name, _ARRAYS[kind], f"to_json({quoted})::text", is_text=True)
    if kind in _PLAIN:
        data_type, cast = _PLAIN[kind]
        return Held(name, data_type, f"{quoted}{cast}", is_text=False)
    return Held(name, None, f"{quoted}::text", is_text=True)


def _decimal(precision: int | None, scale: int | None) -> DataType:
    """Return the type of decimals; without bounds, numeric: whether a value fits is checked as it is read."""
    if precision is None or scale is None:
        return "numeric"
    return "numeric" if scale <= _NUMERIC_SCALE and precision - scale <= _NUMERIC_WHOLE else "bignumeric"
