"""PostgreSQL as a source, against a real server: every type as it was, as of one instant, or refused."""

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from postgres_server import execute, running_server
from rich.console import Console
from source_rows import COLUMNS, ROWS, oracle, read, seen

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from core.settings import Settings
from reconcile import load_config, run
from reconcile.explaining import explain
from reconcile.plans import DatabaseSpec, InFlightPlan
from reconcile.read.filters import conditions
from reconcile.report.plan_view import print_plan
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.postgresql import PostgresqlSource, open_postgresql
from reconcile.sources.services import Services

_TYPES: dict[DataType, str] = {
    "int64": "bigint", "numeric": "numeric(38, 9)", "bignumeric": "numeric(76, 38)", "float64": "double precision",
    "bool": "boolean", "string": "text", "bytes": "bytea", "date": "date", "datetime": "timestamp", "time": "time",
    "timestamp": "timestamptz", "json": "jsonb", "array<string>": "text[]", "array<int64>": "bigint[]",
}  # fmt: skip
ID: dict[str, DataType] = {"id": "int64"}
SERVICES = Services(Settings(), datetime(2026, 1, 1, tzinfo=UTC))
Open = Callable[..., PostgresqlSource]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as uri:
        yield uri


@pytest.fixture
def opened(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open tables, for as long as the test runs."""
    monkeypatch.setenv("SHOP_URI", server)
    with ExitStack() as stack:

        def open_table(name: str, workers: int = 1) -> PostgresqlSource:
            table = DatabaseSpec("postgresql", "SHOP_URI", "public", name)
            source = stack.enter_context(open_source(table, SERVICES, workers=workers))
            assert isinstance(source, PostgresqlSource)
            return source

        yield open_table


@pytest.fixture
def table(server: str) -> str:
    """A name that no table has."""
    return f"t_{uuid.uuid4().hex}"


def _literal(value: Any, kind: DataType) -> str:
    if value is None:
        return "null"
    if kind == "bytes":
        return rf"'\x{value.hex()}'"
    if kind.startswith("array"):
        value = "{" + ",".join(json.dumps(element, ensure_ascii=False) for element in value) + "}"
    elif kind in ("datetime", "timestamp", "date", "time"):
        value = value.isoformat()
    return "'" + str(value).replace("'", "''") + "'"


def _create(uri: str, name: str, columns: dict[str, DataType], rows: tuple[tuple[Any, ...], ...]) -> None:
    fields = ", ".join(f'"{column}" {_TYPES[kind]}' for column, kind in columns.items())
    lines = [", ".join(_literal(v, k) for v, k in zip(row, columns.values(), strict=True)) for row in rows]
    execute(uri, f"create table {name} ({fields})", f"insert into {name} values {', '.join(f'({x})' for x in lines)}")


def test_every_type_is_read_as_it_was_written(server: str, table: str, opened: Open) -> None:
    _create(server, table, COLUMNS, ROWS)
    source = opened(table)
    assert source.schema() == COLUMNS
    assert seen(source) == oracle()
    assert source.count() == len(ROWS)
    assert source.pin.words.startswith("transaction snapshot 0")


def test_other_types_become_what_they_stand_for(server: str, table: str, opened: Open) -> None:
    execute(
        server,
        f"create table {table} (i smallint, f real, c char(4), u uuid, n numeric, js json, e inet, a text[])",
        f"insert into {table} values (1, 0.5, 'ab', '{uuid.UUID(int=7)}', 1.5, '{{\"a\" : 1}}', '::1', '{{}}')",
    )
    source = opened(table)
    kinds: dict[str, DataType] = {
        "i": "int64", "f": "float64", "c": "string", "u": "string", "n": "numeric", "js": "json", "a": "array<string>"
    }  # fmt: skip
    assert source.schema() == {**kinds, "e": None} == source.schema() | {"e": None}
    [row] = read(source, {**kinds, "e": "string"})
    assert (*row[:4], *row[5:]) == (1, 0.5, "ab", str(uuid.UUID(int=7)), '{"a":1}', [], "::1/128")


@pytest.mark.parametrize(
    "case",
    [
        ("date", "infinity", "date"),
        ("date", "-infinity", "date"),
        ("date", "10000-01-01", "date"),
        ("date", "0001-01-01 BC", "date"),
        ("timestamp", "infinity", "datetime"),
        ("timestamptz", "-infinity", "timestamp"),
        ("time", "24:00", "time"),
        ("numeric", "NaN", "numeric"),
        ("numeric", "0.0000000001", "numeric"),
        ("numeric", "1e30", "numeric"),
        ("text[]", "{{a,b},{c,d}}", "array<string>"),
        ("bigint[]", "{{1},{2}}", "array<int64>"),
    ],
)
def test_a_value_that_googlesql_has_not_is_unreadable(
    server: str, table: str, opened: Open, case: tuple[str, str, DataType]
) -> None:
    kind, value, wanted = case
    execute(server, f"create table {table} (v {kind})", f"insert into {table} values (null), ('{value}')")
    with pytest.raises(UnreadableError, match="v"):
        read(opened(table), {"v": wanted})


def test_predicates_are_bound_and_no_name_or_constant_breaks_out(server: str, table: str, opened: Open) -> None:
    columns: dict[str, DataType] = {"id": "int64", 'a "b"; drop': "string", "at": "timestamp"}
    hostile = "x' or true --"
    instants = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    rows = ((1, hostile, instants[0]), (2, None, instants[1]), (3, "other", instants[2]))
    _create(server, table, {"id": "int64", "b": "string", "at": "timestamp"}, rows)
    execute(server, f'alter table {table} rename column b to "a ""b""; drop"')
    source = opened(table)
    name = 'a "b"; drop'
    for where, ids in (
        ({name: hostile}, {1}),
        ({name: (None, "other")}, {2, 3}),
        ({"id": (1, 3), name: hostile}, {1}),
        ({"at": instants[1]}, {2}),
        ({"id": ()}, set()),
    ):
        predicate = Predicate(conditions(where))
        assert {row[0] for row in read(source, columns, predicate)} == ids
        assert source.count(predicate) == len(ids)
    late = Predicate(conditions({"id": 1}), InFlightPlan("at", instants[1]))
    assert {row[0] for row in read(source, columns, late)} == {1, 3}


def test_parts_are_of_one_snapshot_whatever_is_written_meanwhile(
    server: str, table: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.sources.postgresql._PAGES_A_PART", 4)
    monkeypatch.setattr("reconcile.sources.postgresql_session._FETCH_ROWS", 700)
    execute(
        server, f"create table {table} as select g::bigint as id, repeat('x', 90) as v from generate_series(1, 9000) g"
    )
    source = opened(table, 3)
    rows = source.rows(())
    execute(
        server, f"delete from {table} where id % 3 = 0", f"update {table} set v = ''", f"insert into {table} values (0)"
    )
    assert len(rows.parts) == 3
    found = [[row for batch in part.read() for row in batch.to_pylist()] for part in rows.parts]
    assert [bool(part) for part in found] == [True] * 3
    assert sorted(row[0] for row in read(source, ID)) == list(range(1, 9001))
    assert source.count() == sum(map(len, found)) == 9000


def test_a_table_that_is_being_read_cannot_be_emptied_under_its_reader(server: str, table: str, opened: Open) -> None:
    execute(server, f"create table {table} as select 1::bigint as id")
    source = opened(table)
    with pytest.raises(postgresql.Error, match="lock timeout"):
        execute(server, "begin", "set local lock_timeout = '50ms'", f"truncate {table}")
    assert read(source, ID) == [(1,)]


def test_two_tables_of_one_database_are_read_in_one_snapshot(
    server: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    other = f"o{table}"
    execute(server, *(f"create table {name} as select 1::bigint as id, 0 as v" for name in (table, other)))

    @contextmanager
    def amid_writes(of: DatabaseSpec, workers: int, **how: Any) -> Iterator[PostgresqlSource]:
        with open_postgresql(of, workers, **how) as source:
            # Both change at once, and again once the other side is open.
            execute(server, f"with w as (update {table} set v = v + 1) update {other} set v = v + 1")
            if "beside" in how:
                with pytest.raises(postgresql.Error, match="lock timeout"):
                    execute(server, "begin", "set local lock_timeout = '50ms'", f"truncate {other}")
            yield source

    monkeypatch.setattr("reconcile.sources.opening.open_postgresql", amid_writes)
    sides = [f"{{type: postgresql, connection: SHOP_URI, table: public.{name}}}" for name in (table, other)]
    comparison = f"{{name: a, key: [id], warehouse: {sides[0]}, snapshot: {sides[1]}}}"
    (tmp_path / "reconcile.yml").write_text(f"{{version: 1, comparisons: [{comparison}]}}")
    config = load_config(tmp_path / "reconcile.yml")
    for mode in ("typed", "checksum"):
        [found] = run(config, Settings(), audit=False, mode=mode).comparisons
        assert (found.verdict, found.reason) == ("equal", None)
        assert found.inputs is not None
        assert found.inputs.snapshot_table == f"postgresql public.{other} (SHOP_URI)"
        assert (found.inputs.snapshot_pin or "").startswith("transaction snapshot ")
        assert found.inputs.snapshot_pin == found.inputs.read_session
    # Were they apart to pass as well, the test would prove nothing.
    monkeypatch.setattr("reconcile.sources.opening.are_together", lambda *_: False)
    [found] = run(config, Settings(), audit=False).comparisons
    assert found.verdict == "different"


def test_views_are_read_and_what_is_not_there_is_unreadable(
    server: str, table: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(
        server,
        f"create view {table} as select 1::bigint as id",
        f"create materialized view m{table} as select 1::bigint as id",
    )
    assert read(opened(table), ID) == [(1,)]
    assert opened(f"m{table}").count() == 1
    with pytest.raises(UnreadableError, match="has no column 'v'"):
        read(opened(table), {"v": "string"})
    with pytest.raises(UnreadableError, match=r"public\.gone \(SHOP_URI\): is not there"):
        opened("gone")
    monkeypatch.setenv("SHOP_URI", "postgresql://me:s%3Ccret@127.0.0.1:1/shop")
    with pytest.raises(UnreadableError, match="cannot be read") as caught:
        opened(table)
    assert "cret" not in str(caught.value)
    monkeypatch.delenv("SHOP_URI")
    with pytest.raises(UnreadableError, match="the variable SHOP_URI is not set"):
        opened(table)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    with pytest.raises(ConfigurationError, match=r"millrace\[postgresql\]"):
        opened(table)


def test_redshift_is_read_by_the_connection_that_pins_it(
    server: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A PostgreSQL takes what is sent to a Redshift, and no more of Redshift is to be had here.
    monkeypatch.setenv("SHOP_URI", server)
    execute(server, f"create table {table} as select g::bigint as id from generate_series(1, 50) g")
    with open_source(DatabaseSpec("redshift", "SHOP_URI", "public", table), SERVICES, workers=4) as source:
        assert source.pin.words == "transaction"
        assert source.schema() == ID
        execute(server, f"delete from {table} where id > 5")
        for _ in range(2):
            assert len(read(source, ID)) == source.count() == 50
        assert len(source.rows(()).parts) == 1


def test_rows_in_flight_are_told_by_any_warehouse(
    server: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    write_deltalake(tmp_path / "delta", pa.table({"id": [1, 2, 3], "v": ["a", "b", "c"]}))
    execute(
        server,
        f"create table {table} (id bigint, v text, is_deleted boolean, landed_at timestamptz)",
        f"insert into {table} values (1, 'a', false, '2026-01-01Z'), (2, 'later', false, '2100-01-01Z'), "
        "(3, 'c', true, '2100-01-01Z')",
    )
    config = tmp_path / "reconcile.yml"
    config.write_text(
        f"""
version: 1
comparisons:
  - name: things
    key: [id]
    warehouse: {{type: postgresql, connection: SHOP_URI, table: public.{table}}}
    where: {{is_deleted: false}}
    in_flight: {{column: landed_at}}
    snapshot: {{type: delta, uri: "{(tmp_path / "delta").as_uri()}"}}
    columns: {{is_deleted: {{ignore: true}}, landed_at: {{ignore: true}}}}
"""
    )
    [found] = run(load_config(config), Settings(), audit=False).comparisons
    assert found.counts is not None, found.reason
    assert (found.verdict, found.counts.matched, found.counts.in_flight) == ("equal", 1, 2)


def test_a_type_that_would_lose_something_names_the_cast_before_rows_are_read(
    server: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    execute(server, f"create table {table} as select 1::bigint as id, 1.5::float8 as v")
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/a.ndjson").write_text('{"id": 1, "v": 1.5}\n')
    config = tmp_path / "reconcile.yml"
    side = f"{{type: postgresql, connection: SHOP_URI, table: public.{table}}}"
    files = f'{{type: files, uri: "{(tmp_path / "lines").as_uri()}"}}'
    comparison = f"{{name: a, key: [id], warehouse: {files}, snapshot: {side}}}"
    config.write_text(f"{{version: 1, comparisons: [{comparison}]}}")
    assert "its format says nothing of types" in (
        run(load_config(config), Settings(), audit=False).comparisons[0].reason or ""
    )
    execute(server, f"create table w{table} as select 1::bigint as id, 1.5::numeric(9, 2) as v")
    other = f"{{type: postgresql, connection: SHOP_URI, table: public.w{table}}}"
    for columns, verdict in (("{}", "unreadable"), ("{v: {cast: numeric}}", "equal")):
        comparison = f"{{name: a, key: [id], warehouse: {other}, snapshot: {side}, columns: {columns}}}"
        config.write_text(f"{{version: 1, comparisons: [{comparison}]}}")
        [found] = run(load_config(config), Settings(), audit=False).comparisons
        assert found.verdict == verdict, found.reason
        assert verdict == "equal" or "give the column `cast: numeric`" in (found.reason or "")


def test_a_connection_that_breaks_in_mid_read_is_unreadable(
    server: str, table: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.sources.postgresql_session._FETCH_ROWS", 10)
    execute(server, f"create table {table} as select g::bigint as id from generate_series(1, 100) g")
    [part] = opened(table).rows(()).parts
    batches = part.read()
    next(batches)
    execute(server, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'fetch%'")
    with pytest.raises(UnreadableError, match="cannot be read"):
        list(batches)


def test_postgresql_is_compared_with_files_and_no_warehouse_is_needed(
    server: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    execute(
        server,
        f"create table {table} as "
        "select g::bigint as id, (g / 4.0)::numeric(10, 2) as amount from generate_series(1, 500) g",
    )
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / "a.ndjson").write_text("".join(f'{{"id": {n}, "amount": "{n / 4:.2f}"}}\n' for n in range(1, 501)))
    config = tmp_path / "reconcile.yml"
    config.write_text(
        f"""
version: 1
comparisons:
  - name: payments
    key: [id]
    warehouse: {{type: postgresql, connection: SHOP_URI, table: public.{table}}}
    snapshot: {{type: files, uri: "{folder.as_uri()}", rows: 500}}
"""
    )
    shown = Console(record=True, width=200)
    print_plan(shown, explain(load_config(config), Settings()))
    text = shown.export_text()
    assert f"warehouse postgresql public.{table} (SHOP_URI)" in text
    assert f"ndjson, 500 rows: ndjson files in {folder.as_uri()}" in text
    found = run(load_config(config), Settings(), audit=False)
    assert found.verdict == "equal", found.comparisons[0].reason
    inputs = found.comparisons[0].inputs
    assert inputs is not None
    assert inputs.warehouse_table == f"postgresql public.{table} (SHOP_URI)"
    assert (inputs.read_session or "").startswith("transaction snapshot")
    execute(server, f"update {table} set amount = 0 where id = 7", f"delete from {table} where id = 8")
    counts = run(load_config(config), Settings(), audit=False).comparisons[0].counts
    assert counts is not None
    assert (counts.changed, counts.missing, counts.matched) == (1, 1, 498)
    execute(server, f"drop table {table}")
    assert run(load_config(config), Settings(), audit=False).verdict == "unreadable"


def test_what_goes_wrong_beside_an_open_source_keeps_its_own_words(server: str, table: str, opened: Open) -> None:
    execute(server, f"create table {table} as select 1::bigint as id")
    with (
        pytest.raises(pa.ArrowInvalid, match="elsewhere"),
        open_source(DatabaseSpec("postgresql", "SHOP_URI", "public", table), SERVICES),
    ):
        raise pa.ArrowInvalid("elsewhere")
    # Nothing is left behind that would lock the table.
    execute(server, "begin", "set local lock_timeout = '5s'", f"truncate {table}", "commit")
    assert read(opened(table), ID) == []
