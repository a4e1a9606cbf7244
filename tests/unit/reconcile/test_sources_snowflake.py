"""Snowflake as a source, up to the driver: the SQL it is sent, and what becomes of what it hands over.

There is no Snowflake here. The driver's DBAPI is stood in for; that the SQL is Snowflake's is checked by a parser.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from reconcile_tables import column, planned
from source_rows import COLUMNS, ROWS, oracle, seen

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from core.settings import Settings
from reconcile.plans import DatabaseSpec, InFlightPlan
from reconcile.pushdown.suits import refusal
from reconcile.read.filters import conditions
from reconcile.read.text import ARROW
from reconcile.result import Mode
from reconcile.sources.checking import check_columns
from reconcile.sources.model import Predicate, Source, Wanted
from reconcile.sources.opening import open_source
from reconcile.sources.services import Services

TABLE = DatabaseSpec("snowflake", "WH_URI", "PUBLIC", "MEMBERS", "CRM")
URI = "user:s3cret@account/CRM?warehouse=XS"
NOW = "2026-01-05T07:00:00.123456+00:00"
AT = "at (timestamp => '2026-01-05T07:00:00.123456+00:00'::timestamp_tz)"
SERVICES = Services(Settings(), datetime(2026, 1, 1, tzinfo=UTC))
_KINDS: dict[DataType, tuple[Any, ...]] = {
    "int64": ("NUMBER", 38, 0), "numeric": ("NUMBER", 38, 9), "bignumeric": ("NUMBER", 38, 20),
    "float64": ("FLOAT", None, None), "bool": ("BOOLEAN", None, None), "string": ("TEXT", None, None),
    "bytes": ("BINARY", None, None), "date": ("DATE", None, None), "datetime": ("TIMESTAMP_NTZ", None, None),
    "time": ("TIME", None, None), "timestamp": ("TIMESTAMP_TZ", None, None), "json": ("VARIANT", None, None),
    "array<string>": ("ARRAY", None, None), "array<int64>": ("ARRAY", None, None),
}  # fmt: skip
_DESCRIBED = [(name.upper(), *_KINDS[kind]) for name, kind in COLUMNS.items()]
_NATIVE = {"float64", "bool", "string", "bytes", "date"}


class _DriverError(Exception):
    pass


@dataclass
class Driver:
    """Stands in for the driver: remembers what it is sent, and answers."""

    columns: list[tuple[Any, ...]] = field(
        default_factory=lambda: [(n.upper(), *_KINDS[k]) for n, k in COLUMNS.items()]
    )
    batches: list[pa.RecordBatch] = field(default_factory=list)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    fault: str = ""

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(connect=self._connect, Error=_DriverError)

    @contextmanager
    def _connect(self, uri: str) -> Iterator[Any]:
        assert uri == URI
        yield SimpleNamespace(cursor=self._cursor)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        yield self

    def execute(self, sql: str, values: Any = None) -> None:
        self.sent.append((" ".join(sql.split()), values))
        sqlglot.parse_one(sql, read="snowflake")
        if self.fault and self.fault in sql:
            raise _DriverError(f"260002: no such thing for {URI}")

    def fetchall(self) -> list[tuple[Any, ...]]:
        sql = self.sent[-1][0]
        if "current_timestamp" in sql:
            return [(NOW,)]
        return self.columns if "information_schema" in sql else [(len(ROWS),)]

    def fetch_record_batch(self) -> list[pa.RecordBatch]:
        return self.batches


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    monkeypatch.setitem(sys.modules, "adbc_driver_snowflake.dbapi", found.module())
    monkeypatch.setenv("WH_URI", URI)
    return found


@pytest.fixture
def source(driver: Driver) -> Iterator[Source]:
    with open_source(TABLE, SERVICES) as opened:
        yield opened


def _handed_over() -> pa.RecordBatch:
    """The rows as Snowflake's functions print them: nine digits of a second, and JSON of arrays."""

    def text(value: Any, kind: DataType) -> Any:
        if value is None or kind in _NATIVE:
            return value
        if kind == "time":
            return value.isoformat("microseconds") + "000"
        if kind in ("datetime", "timestamp"):
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + (
                "000Z" if kind == "timestamp" else "000"
            )
        return json.dumps(value) if kind.startswith("array") else str(value)

    arrays = [
        pa.array([text(row[n], kind) for row in ROWS], ARROW[kind] if kind in _NATIVE else pa.string())
        for n, kind in enumerate(COLUMNS.values())
    ]
    return pa.record_batch(arrays, names=[f"EXPR {n}" for n in range(len(arrays))])


def test_every_type_is_read_from_what_it_is_asked_for(driver: Driver, source: Source) -> None:
    driver.batches = [_handed_over()]
    assert source.schema() == {**COLUMNS, "scores": "array<string>"}
    assert seen(source) == oracle()
    sent = driver.sent[-1][0]
    assert sent.startswith('select "ID"::varchar, "AMOUNT"::varchar, "BIG"::varchar, "RATIO", "ACTIVE", "NAME"')
    assert 'to_varchar(convert_timezone(\'UTC\', "CHANGED_AT"), \'YYYY-MM-DD"T"HH24:MI:SS.FF9"Z"\')' in sent
    assert sent.endswith(f'from "CRM"."PUBLIC"."MEMBERS" {AT} where true')
    assert source.pin.at == datetime.fromisoformat(NOW)


def test_counts_and_predicates_are_bound_and_of_the_same_instant(driver: Driver, source: Source) -> None:
    assert source.count() == len(ROWS)
    assert driver.sent[-1] == (f'select count(*) from "CRM"."PUBLIC"."MEMBERS" {AT} where true', None)
    hostile = "x' or true --"
    late = InFlightPlan("changed_at", datetime(2026, 1, 1, tzinfo=UTC))
    source.count(Predicate(conditions({"name": (hostile, None), "active": True}), late))
    sql, values = driver.sent[-1]
    assert sql.endswith(
        'where (("NAME" = cast(? as varchar) or "NAME" is null) and ("ACTIVE" = cast(? as boolean))) '
        'or "CHANGED_AT" > cast(? as timestamp_tz)'
    )
    assert values == (hostile, "true", "2026-01-01T00:00:00+00:00")
    described = next(sent for sent in driver.sent if "information_schema" in sent[0])
    assert described[1] == ("PUBLIC", "MEMBERS")
    assert 'from "CRM".information_schema.columns' in described[0]


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("changed_at", "timestamp", "2026-01-01T00:00:00.000000001Z"),
        ("at", "time", "00:00:00.000000001"),
        ("id", "int64", "9223372036854775808"),
        ("scores", "array<int64>", '[1,"a"]'),
        ("tags", "array<string>", '[["a"]]'),
    ],
)
def test_a_value_that_would_lose_something_is_unreadable(
    driver: Driver, source: Source, name: str, kind: DataType, text: str
) -> None:
    driver.batches = [pa.record_batch({"x": [text]})]
    [part] = source.rows((Wanted(name, kind),)).parts
    with pytest.raises(UnreadableError, match=f"{name} holds what no"):
        list(part.read())


def test_wide_whole_numbers_are_read_as_what_is_wanted(driver: Driver, source: Source) -> None:
    driver.batches = [pa.record_batch({"x": ["12345678901234567890"]})]
    [part] = source.rows((Wanted("id", "numeric"),)).parts
    [batch] = part.read()
    assert str(batch.column("id")[0].as_py()) == "12345678901234567890.000000000"
    assert check_columns(source, TABLE, ())[0] == "id"


def test_faults_are_told_without_secrets(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.fault = "current_timestamp"
    with (
        pytest.raises(UnreadableError, match=r"PUBLIC\.MEMBERS \(WH_URI\): cannot be read: 260002") as caught,
        open_source(TABLE, SERVICES),
    ):
        pass
    assert "s3cret" not in str(caught.value)
    driver.fault, driver.columns = "", []
    with open_source(TABLE, SERVICES) as opened, pytest.raises(UnreadableError, match="is not there"):
        opened.schema()
    monkeypatch.setitem(sys.modules, "adbc_driver_snowflake.dbapi", None)
    with pytest.raises(ConfigurationError, match=r"millrace\[snowflake\]"), open_source(TABLE, SERVICES):
        pass


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("count", None)] + [(mode, "Snowflake was never seen to hash") for mode in ("aggregate", "sample", "checksum")],
)
def test_snowflake_counts_its_rows_and_computes_nothing_else(source: Source, mode: Mode, reason: str | None) -> None:
    told = refusal(planned(column("id", "int64", is_key=True), column("name", "string")), source, mode)
    assert told is None if reason is None else reason in (told or "")
