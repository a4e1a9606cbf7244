"""Snowflake through ADBC, as of one instant by time travel.

Numbers, times and documents come as texts of a stated form: the driver would hand over nanoseconds, which end in 2262,
and numbers by the width of their column. What is here was written after Snowflake's reference and is tested up to the
driver; it has never been run against Snowflake.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.compare.tree import Leaves
from reconcile.plans import DatabaseSpec, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.sources.adbc import Held, as_wanted, connection_uri, told, typed
from reconcile.sources.checksums import local_checksums
from reconcile.sources.extras import imported
from reconcile.sources.model import EVERY_ROW, Part, Pin, Predicate, Rows, Wanted
from reconcile.sources.sql import Bound, SqlTypes, identifier, where

_MODULE: Final = "adbc_driver_snowflake.dbapi"
_TYPES: Final = SqlTypes(integer="number(38, 0)", decimal="number(38, 9)", timestamp="timestamp_tz")
_NOW_SQL: Final = """
select to_varchar(convert_timezone('UTC', current_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.FF6"+00:00"')
"""
_SECONDS: Final = "HH24:MI:SS.FF9"
_DAY: Final = 'YYYY-MM-DD"T"'
_ZEROS: Final = r"(\.\d{6})000(Z?)$"
"""The digits beyond microseconds, where they are zero; others are left, and then refused."""
_NUMERIC_SCALE: Final = 9
_NUMERIC_WHOLE: Final = 29

_KINDS: Final[dict[str, tuple[DataType, str, bool]]] = {
    "FLOAT": ("float64", "{}", False),
    "BOOLEAN": ("bool", "{}", False),
    "TEXT": ("string", "{}", False),
    "BINARY": ("bytes", "{}", False),
    "DATE": ("date", "{}", False),
    "TIME": ("time", f"to_varchar({{}}, '{_SECONDS}')", True),
    "TIMESTAMP_NTZ": ("datetime", f"to_varchar({{}}, '{_DAY}{_SECONDS}')", True),
    "TIMESTAMP_LTZ": ("timestamp", f"to_varchar(convert_timezone('UTC', {{}}), '{_DAY}{_SECONDS}\"Z\"')", True),
    "TIMESTAMP_TZ": ("timestamp", f"to_varchar(convert_timezone('UTC', {{}}), '{_DAY}{_SECONDS}\"Z\"')", True),
    "VARIANT": ("json", "to_json({})", True),
    "OBJECT": ("json", "to_json({})", True),
    "ARRAY": ("array<string>", "to_json({})", True),
}
"""By the data type that INFORMATION_SCHEMA tells: the compared type, the SQL of the value, and whether that is text."""


@dataclass(frozen=True)
class SnowflakeSource:
    """A table of Snowflake, pinned by an instant.

    Attributes:
        table: the table.
        module: the driver.
        uri: the connection's URI.
        cursor: where queries are run.
        at: the instant (UTC).
    """

    table: DatabaseSpec
    module: Any
    uri: str = field(repr=False)
    cursor: Any
    at: datetime

    @property
    def pin(self) -> Pin:
        """See `Source.pin`."""
        return Pin(words=f"as of {self.at.isoformat()}", at=self.at)

    def schema(self) -> dict[str, DataType | None]:
        """See `Source.schema`; names that are in capitals, as those without quotes are, in small letters."""
        return {name: column.data_type for name, column in self._held.items()}

    def count(self, predicate: Predicate = EVERY_ROW) -> int:
        """See `Source.count`."""
        test = self._where(predicate)
        [[rows]] = self._all(Bound(f"select count(*) from {self._from} where {test.sql}", test.values))  # noqa: S608 - quoted names, bound values
        return int(rows)

    def checksums(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate = EVERY_ROW
    ) -> Leaves:
        """See `Source.checksums`."""
        return local_checksums(self, columns, buckets, predicate)

    def rows(self, columns: tuple[Wanted, ...], predicate: Predicate = EVERY_ROW) -> Rows:
        """See `Source.rows`; one part, which the driver fetches by several connections."""
        held = tuple(as_wanted(self._column(column.name), column) for column in dict.fromkeys(columns))
        part = Part(str(self.table), partial(self._read, held, predicate))
        return Rows((part,), receipt=self.pin.words)

    @cached_property
    def _names(self) -> dict[str, str]:
        """The columns' real names."""
        return {_folded(name): name for name, *_ in self._described}

    @cached_property
    def _held(self) -> dict[str, Held]:
        return {_folded(name): _held(name, *kind) for name, *kind in self._described}

    @cached_property
    def _described(self) -> list[tuple[Any, ...]]:
        *database, schema, table = self.table.parts
        place = "".join(f"{identifier(part)}." for part in database)
        found = self._all(
            Bound(
                "select column_name, data_type, numeric_precision, numeric_scale "  # noqa: S608 - quoted names, bound values
                f"from {place}information_schema.columns "
                "where table_schema = ? and table_name = ? order by ordinal_position",
                (schema, table),
            )
        )
        if not found:
            raise UnreadableError(
                f"{self.table}: is not there, or not ours to see; names without quotes are in capitals in Snowflake"
            )
        return found

    @property
    def _from(self) -> str:
        name = ".".join(map(identifier, self.table.parts))
        # A point in time cannot be bound; this one is of our own making.
        return f"{name} at (timestamp => '{self.at.isoformat()}'::timestamp_tz)"

    def _column(self, name: str) -> Held:
        if name not in self._held:
            raise UnreadableError(f"{self.table}: has no column {name!r}; it has {', '.join(self._held)}")
        return self._held[name]

    def _where(self, predicate: Predicate) -> Bound:
        return where(predicate, _placeholder, _TYPES, lambda name: identifier(self._names.get(name, name)))

    def _read(self, held: tuple[Held, ...], predicate: Predicate) -> Iterator[pa.RecordBatch]:
        test = self._where(predicate)
        select = ", ".join(column.select for column in held) or "null"
        statement = f"select {select} from {self._from} where {test.sql}"  # noqa: S608 - quoted names, bound values
        with (
            told(self.table, self.module, self.uri),
            self.module.connect(self.uri) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, test.values or None)
            for batch in cursor.fetch_record_batch():
                yield typed(_cut(batch, held), held, str(self.table)) if held else batch

    def _all(self, statement: Bound) -> list[tuple[Any, ...]]:
        with told(self.table, self.module, self.uri):
            self.cursor.execute(statement.sql, statement.values or None)
            return list(self.cursor.fetchall())


@contextmanager
def open_snowflake(table: DatabaseSpec) -> Iterator[SnowflakeSource]:
    """Open a table, as of now.

    Args:
        table: the table.

    Yields:
        The source.

    Raises:
        UnreadableError: when the connection cannot be made.
        ConfigurationError: when the driver is not installed.
    """
    module, uri = imported(_MODULE, "snowflake"), connection_uri(table)
    with ExitStack() as stack:
        # Around the connecting alone: what goes wrong while the source is open has its own words.
        with told(table, module, uri):
            connection = stack.enter_context(module.connect(uri))
            cursor = stack.enter_context(connection.cursor())
            cursor.execute(_NOW_SQL)
            [(now,)] = cursor.fetchall()
        yield SnowflakeSource(table, module, uri, cursor, datetime.fromisoformat(now))


def _placeholder(number: int, kind: str) -> str:
    del number  # bound by their order
    return f"cast(? as {kind})"


def _folded(name: str) -> str:
    return name.lower() if name == name.upper() else name


def _held(name: str, kind: str, precision: int | None, scale: int | None) -> Held:
    quoted = identifier(name)
    if kind == "NUMBER":
        return Held(_folded(name), _number(precision, scale), f"{quoted}::varchar", is_text=True)
    if kind in _KINDS:
        data_type, select, is_text = _KINDS[kind]
        return Held(_folded(name), data_type, select.format(quoted), is_text)
    return Held(_folded(name), None, f"{quoted}::varchar", is_text=True)


def _number(precision: int | None, scale: int | None) -> DataType:
    if not scale:
        return "int64"
    whole = (precision or 0) - scale
    return "numeric" if scale <= _NUMERIC_SCALE and whole <= _NUMERIC_WHOLE else "bignumeric"


def _cut(batch: pa.RecordBatch, held: tuple[Held, ...]) -> pa.RecordBatch:
    """Drop the zeros beyond microseconds, which no compared type has."""
    arrays = [
        pc.replace_substring_regex(array, _ZEROS, r"\1\2")
        if column.is_text and column.data_type in ("time", "datetime", "timestamp")
        else array
        for array, column in zip(batch.columns, held, strict=True)
    ]
    return pa.record_batch(arrays, names=[column.name for column in held])
