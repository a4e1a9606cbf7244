"""Checksums of sources: computed by PostgreSQL or from the rows of whatever source, they are the same."""

import math
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import execute, running_server
from source_rows import COLUMNS, ROWS

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from core.pinned import FileStore
from core.settings import Settings
from reconcile.compare.tree import merged
from reconcile.plans import DatabaseSpec, FileSet, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.read.filters import conditions
from reconcile.read.text import ARROW
from reconcile.rules import EXACT, Rule
from reconcile.sources.files import FileSource
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.postgresql import PostgresqlSource
from reconcile.sources.services import Services

SERVICES = Services(Settings(), datetime(2026, 1, 1, tzinfo=UTC))
KINDS: dict[str, DataType] = {n: k for n, k in COLUMNS.items() if k not in ("float64", "json", "bignumeric")}
_TYPES: dict[DataType, str] = {
    "int64": "bigint", "numeric": "numeric(38, 9)", "bool": "boolean", "string": "text", "bytes": "bytea",
    "date": "date", "datetime": "timestamp", "time": "time", "timestamp": "timestamptz", "array<string>": "text[]",
    "array<int64>": "bigint[]", "float64": "double precision",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


def _columns(kinds: dict[str, DataType], rule: Rule = EXACT) -> tuple[PlannedColumn, ...]:
    return tuple(
        PlannedColumn(n, n, k, n == "id", rule if k == "string" else EXACT, None, False) for n, k in kinds.items()
    )


def _value(kind: DataType, random_: random.Random) -> Any:
    if random_.random() < 0.1:
        return None
    micros = timedelta(microseconds=random_.randrange(10**17))
    made: dict[DataType, Any] = {
        "int64": random_.randrange(-(2**63), 2**63),
        "numeric": Decimal(random_.randrange(-(10**38), 10**38) // 10 ** random_.randrange(38)).scaleb(-9),
        "bool": random_.random() < 0.5,
        "string": "".join(random_.choices("aZ|:é\U0001f600 'N", k=random_.randrange(6))),
        "bytes": random_.randbytes(random_.randrange(4)),
        "date": date.fromordinal(random_.randrange(1, date.max.toordinal() + 1)),
        "datetime": datetime(1, 1, 1) + micros,
        "time": (datetime(1, 1, 1) + micros).time(),
        "timestamp": datetime(1, 1, 1, tzinfo=UTC) + micros,
        "array<string>": random_.choices(["", "a", "1|", "é:", "N|"], k=random_.randrange(3)),
        "array<int64>": [random_.randrange(-5, 5) for _ in range(random_.randrange(3))],
    }
    return made[kind]


def _rows(count: int) -> list[tuple[Any, ...]]:
    random_ = random.Random(7)
    at = {name: number for number, name in enumerate(COLUMNS)}
    edges = [tuple(row[at[name]] for name in KINDS) for row in ROWS]
    midnight = (*([None] * (len(KINDS))),)
    return [*edges, midnight, *(tuple(_value(kind, random_) for kind in KINDS.values()) for _ in range(count))]


def _parquet(folder: Path, rows: list[tuple[Any, ...]], kinds: dict[str, DataType]) -> FileSource:
    arrays = {name: pa.array([row[n] for row in rows], ARROW[kind]) for n, (name, kind) in enumerate(kinds.items())}
    pq.write_table(pa.table(arrays), folder / "a.parquet")
    store = FileStore(folder)
    return FileSource(store, FileSet(folder.as_uri(), store.listing(""), "parquet"))


def _ingested(server: str, name: str, rows: list[tuple[Any, ...]], kinds: dict[str, DataType]) -> None:
    def literal(value: Any, kind: DataType) -> str:
        if value is None:
            return "null"
        if kind == "bytes":
            return rf"'\x{value.hex()}'"
        if isinstance(value, list):
            inner = ", ".join(literal(element, "string") for element in value)
            return f"array[{inner}]::{_TYPES[kind]}"
        text = value.isoformat() if isinstance(value, date | time) else str(value)
        return "'" + text.replace("'", "''") + "'"

    fields = ", ".join(f"{column} {_TYPES[kind]}" for column, kind in kinds.items())
    lines = (", ".join(literal(v, k) for v, k in zip(row, kinds.values(), strict=True)) for row in rows)
    execute(
        server, f"create table {name} ({fields})", f"insert into {name} values {', '.join(f'({x})' for x in lines)}"
    )


@pytest.mark.parametrize("shift", [None, 40])
def test_the_database_and_the_rows_of_files_have_the_same_checksums(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int | None
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    rows, name = _rows(3_000), f"same_{shift or 0}"
    _ingested(server, name, rows, KINDS)
    columns = _columns(KINDS)
    buckets = KeyBuckets(columns[:1], shift)
    files = _parquet(tmp_path, rows, KINDS).checksums(columns, buckets)
    with open_source(DatabaseSpec("postgresql", "SHOP_URI", "public", name), SERVICES) as source:
        assert isinstance(source, PostgresqlSource)
        # Pushed down: not a row is read.
        with monkeypatch.context() as patch:
            patch.setattr(PostgresqlSource, "rows", None)
            assert source.checksums(columns, buckets) == files
        few = Predicate(conditions({"active": True}))
        assert source.checksums(columns, buckets, few) == _parquet(tmp_path, rows, KINDS).checksums(
            columns, buckets, few
        )
        # A rule is followed here, from the rows.
        alike = _columns(KINDS, Rule(case="ignore"))
        assert source.checksums(alike, buckets) == _parquet(tmp_path, rows, KINDS).checksums(alike, buckets) != files
    assert sum(leaf.rows for leaf in files.values()) == len(rows)
    assert len(files) > 1


def test_floats_are_summed_up_from_the_rows_and_documents_not_at_all(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    kinds: dict[str, DataType] = {"id": "int64", "f": "float64"}
    rows = [(1, 0.1), (2, math.nan), (3, -0.0), (4, math.inf), (5, None), (6, math.nextafter(0.1, 1))]
    _ingested(server, "floats", rows, kinds)
    columns = _columns(kinds)
    buckets = KeyBuckets(columns[:1], 0)
    with open_source(DatabaseSpec("postgresql", "SHOP_URI", "public", "floats"), SERVICES) as source:
        found = source.checksums(columns, buckets)
        documents = _columns({"id": "int64", "f": "json"})
        with pytest.raises(ConfigurationError, match="f is json"):
            source.checksums(documents, buckets)
    assert found == _parquet(tmp_path, rows, kinds).checksums(columns, buckets)
    assert found[1] != found[6]
    assert merged([found, found])[1].rows == 2


def test_values_that_googlesql_has_not_are_unreadable_though_the_database_could_hash_them(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    execute(server, "create table odd (id bigint, d date)", "insert into odd values (1, null), (2, 'infinity')")
    columns = _columns({"id": "int64", "d": "date"})
    with (
        open_source(DatabaseSpec("postgresql", "SHOP_URI", "public", "odd"), SERVICES) as source,
        pytest.raises(UnreadableError, match="d holds what no date can"),
    ):
        source.checksums(columns, KeyBuckets(columns[:1], None))
