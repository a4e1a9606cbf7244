"""Delta and Iceberg tables as sources: real tables, of the version that is named, or refused."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable as Delta
from deltalake import write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import StringType
from pyiceberg.utils.config import Config
from source_rows import COLUMNS, ROWS, oracle, read, seen

from core.contracts import DataType
from core.errors import ConfigurationError, UnreadableError
from core.settings import Settings
from reconcile import load_config, run
from reconcile.plans import FileSet, PlannedColumn
from reconcile.read.filters import conditions
from reconcile.read.text import ARROW
from reconcile.rules import EXACT
from reconcile.source_config import DeltaTable, IcebergTable
from reconcile.sources.files import FileSource
from reconcile.sources.model import EVERY_ROW, Predicate
from reconcile.sources.resolving import Resolved, resolve
from reconcile.sources.services import Services

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVICES = Services(Settings(), NOW)
ID: dict[str, DataType] = {"id": "int64"}
# Neither format has bignumeric, times in Delta, or documents; those are texts.
LAKE = {name: kind for name, kind in COLUMNS.items() if kind not in ("bignumeric", "time")}


def _table(rows: tuple[tuple[Any, ...], ...] = ROWS, kinds: dict[str, DataType] = LAKE) -> pa.Table:
    at = {name: number for number, name in enumerate(COLUMNS)}
    return pa.table({n: pa.array([row[at[n]] for row in rows], ARROW[kind]) for n, kind in kinds.items()})


def _expected(rows: tuple[tuple[Any, ...], ...] = ROWS, kinds: dict[str, DataType] = LAKE) -> set[str]:
    at = {name: number for number, name in enumerate(COLUMNS)}
    return oracle(tuple(tuple(row[at[name]] for name in kinds) for row in rows), kinds)


def _source(found: Resolved) -> FileSource:
    assert isinstance(found.table, FileSet)
    return FileSource(SERVICES.store(found.table.root), found.table)


def delta(folder: Path, version: int | None = None) -> FileSource:
    return _source(resolve(DeltaTable(type="delta", uri=folder.as_uri(), version=version), SERVICES))


# Delta


def test_every_type_of_a_delta_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_deltalake(tmp_path, _table(ROWS[:2]))
    write_deltalake(tmp_path, _table(ROWS[2:]), mode="append")
    source = delta(tmp_path)
    assert source.schema() == {name: "string" if kind == "json" else kind for name, kind in LAKE.items()}
    assert seen(source, LAKE) == _expected()
    assert source.count() == len(ROWS)
    assert source.pin.words == f"delta table {tmp_path.as_uri()} version 1"
    assert len(source.pin.objects) == 2


def test_a_version_is_read_whatever_was_committed_since(tmp_path: Path) -> None:
    write_deltalake(tmp_path, _table(ROWS[:1]))
    write_deltalake(tmp_path, _table(ROWS[1:]), mode="append")
    Delta(tmp_path).delete("id = 1")
    assert seen(delta(tmp_path, 0), LAKE) == _expected(ROWS[:1])
    assert seen(delta(tmp_path, 1), LAKE) == _expected()
    assert seen(delta(tmp_path), LAKE) == _expected(ROWS[1:])
    found = resolve(DeltaTable(type="delta", uri=tmp_path.as_uri(), version=0), SERVICES)
    assert found.taken_at is not None
    Delta(tmp_path).delete()
    assert read(delta(tmp_path), LAKE) == []
    assert delta(tmp_path).count() == 0


def test_partitions_and_later_columns_are_columns_like_others(tmp_path: Path) -> None:
    kinds: dict[str, DataType] = {
        "id": "int64", "day": "date", "kind": "string", "price": "numeric", "at": "timestamp", "new": "bool",
    }  # fmt: skip
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    first = {"id": [1, 2], "day": [date(2026, 1, 2), None], "kind": ["a b/ü%=", "x"], "price": [Decimal("1.50"), None]}
    table = pa.table(first | {"at": pa.array([at, None], pa.timestamp("us", "UTC"))})
    by = ["day", "kind", "price", "at"]
    write_deltalake(tmp_path, table, partition_by=by)
    more = table.slice(0, 1).set_column(0, "id", pa.array([3])).append_column("new", pa.array([True]))
    write_deltalake(tmp_path, more, mode="append", schema_mode="merge", partition_by=by)
    price, day = Decimal("1.500000000"), date(2026, 1, 2)
    local = at.replace(tzinfo=None)
    source = delta(tmp_path)
    assert sorted(read(source, kinds)) == [
        (1, day, "a b/ü%=", price, local, None),
        (2, None, "x", None, None, None),
        (3, day, "a b/ü%=", price, local, True),
    ]
    assert [row[0] for row in read(source, kinds, Predicate(conditions({"kind": "x"})))] == [2]
    assert source.count(Predicate(conditions({"day": day}))) == 2
    with pytest.raises(UnreadableError, match="has no column 'other'"):
        read(source, {"other": "string"})


def test_rows_that_a_deletion_vector_marks_are_left_out(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": range(40)}))
    [log] = (tmp_path / "_delta_log").glob("*.json")
    # The vector that the protocol's own text gives as its example: rows 3, 4, 7, 11, 18 and 29.
    vector = {"storageType": "i", "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
              "sizeInBytes": 44, "cardinality": 6}  # fmt: skip
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["deletionVector"] = vector
        if "protocol" in line:
            features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    log.write_text("\n".join(map(json.dumps, lines)))
    source = delta(tmp_path)
    assert sorted(row[0] for row in read(source, ID)) == sorted(set(range(40)) - {3, 4, 7, 11, 18, 29})
    assert source.count() == 34


def test_a_delta_table_that_is_not_whole_is_unreadable(tmp_path: Path) -> None:
    root = tmp_path / "table"
    with pytest.raises(UnreadableError, match="is not a Delta table"):
        delta(tmp_path / "none")
    write_deltalake(root, pa.table({"id": range(1_000)}))
    with pytest.raises(UnreadableError, match="is not a Delta table"):
        delta(root, 7)
    [file] = root.glob("*.parquet")
    data = file.read_bytes()
    source = delta(root)
    file.write_bytes(data[:-9])
    with pytest.raises(UnreadableError, match="was replaced"):
        read(source, ID)
    with pytest.raises(UnreadableError, match="it is not whole"):
        delta(root)
    file.unlink()
    with pytest.raises(UnreadableError, match="is not there"):
        delta(root)


def test_tables_whose_files_hold_other_names_are_refused(tmp_path: Path) -> None:
    mapped = {"delta.columnMapping.mode": "name"}
    write_deltalake(tmp_path, pa.table({"id": [1]}), configuration=mapped)
    with pytest.raises(UnreadableError, match="maps its columns by name"):
        delta(tmp_path)


# Iceberg


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlCatalog]:
    location = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": (tmp_path / "lake").as_uri()}
    for name, value in location.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LAKE__{name.upper()}", value)
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__TYPE", "sql")
    # PyIceberg reads the environment once, when it is imported.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    found = SqlCatalog("lake", **location)
    found.create_namespace("crm")
    yield found
    found.close()


def iceberg(table: Any = None, **said: Any) -> FileSource:
    named = {"metadata": table.metadata_location} if table is not None else {"catalog": "lake", "table": "crm.things"}
    return _source(resolve(IcebergTable(type="iceberg", **named, **said), SERVICES))


def test_every_type_of_an_iceberg_table_is_read_as_it_was_written(catalog: SqlCatalog) -> None:
    kinds: dict[str, DataType] = {**LAKE, "at": "time"}
    table = catalog.create_table("crm.things", schema=_table(kinds=kinds).schema)
    table.append(_table(ROWS[:2], kinds))
    first = table.current_snapshot()
    assert first is not None
    table.append(_table(ROWS[2:], kinds))
    source = iceberg()
    assert source.schema() == {name: "string" if kind == "json" else kind for name, kind in kinds.items()}
    assert seen(source, kinds) == _expected(kinds=kinds)
    assert source.count() == len(ROWS)
    assert seen(iceberg(table), kinds) == _expected(kinds=kinds)
    assert seen(iceberg(snapshot_id=first.snapshot_id), kinds) == _expected(ROWS[:2], kinds)
    assert iceberg(snapshot_id=first.snapshot_id).pin.words.endswith(f"crm.things snapshot {first.snapshot_id}")


def test_an_empty_iceberg_table_has_no_rows_and_a_missing_one_is_unreadable(catalog: SqlCatalog) -> None:
    with pytest.raises(UnreadableError, match="is not an Iceberg table"):
        iceberg()
    table = catalog.create_table("crm.things", schema=pa.schema([("id", pa.int64())]))
    assert read(iceberg(), ID) == []
    with pytest.raises(UnreadableError, match="has no snapshot 7"):
        iceberg(snapshot_id=7)
    table.append(pa.table({"id": range(1_000)}))
    [file] = Path(table.location().removeprefix("file://")).glob("data/*.parquet")
    data = file.read_bytes()
    file.write_bytes(data + b" ")
    with pytest.raises(UnreadableError, match="it is not whole"):
        iceberg()
    file.unlink()
    with pytest.raises(UnreadableError, match="is not there"):
        iceberg()
    with pytest.raises(UnreadableError, match="is not an Iceberg table"):
        resolve(IcebergTable(type="iceberg", metadata="file:///none/v1.metadata.json"), SERVICES)


def test_columns_that_came_later_are_null_before_and_renamed_ones_are_refused(catalog: SqlCatalog) -> None:
    table = catalog.create_table("crm.things", schema=pa.schema([("id", pa.int64()), ("old", pa.string())]))
    table.append(pa.table({"id": [1], "old": ["a"]}))
    with table.update_schema() as change:
        change.add_column("new", StringType())
    table.append(pa.table({"id": [2], "old": ["b"], "new": ["c"]}))
    kinds: dict[str, DataType] = {"id": "int64", "new": "string"}
    assert sorted(read(iceberg(), kinds)) == [(1, None), (2, "c")]
    with table.update_schema() as change:
        change.rename_column("old", "name")
    with pytest.raises(UnreadableError, match="was renamed or replaced"):
        iceberg()


# Both


def test_what_the_engine_reads_as_we_would_is_scanned_where_it_lies(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"id": [1, 2], "p": ["a", "b"], "v": ["x", "y"]}), partition_by=["p"])
    source = delta(tmp_path / "t")

    def is_scanned(*names: str, predicate: Predicate = EVERY_ROW) -> bool:
        kinds: dict[str, DataType] = {"id": "int64", "p": "string", "v": "string", "new": "string"}
        columns = tuple(PlannedColumn(n, n, kinds[n], n == "id", EXACT, None, cast=False) for n in names)
        stop = threading.Event()
        found = source.scanned(columns, names, predicate, tmp_path, workers=2, stop=stop, on_rows=lambda _: None)
        return found is not None and found.rows == 2

    assert is_scanned("id", "v")
    assert not is_scanned("id", "p")
    assert not is_scanned("id", "v", predicate=Predicate(conditions({"p": "a"})))
    assert not is_scanned("id", "new")


def test_a_count_that_is_not_the_stated_one_is_unreadable_though_no_row_is_read(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1, 2]}))
    source = delta(tmp_path)
    assert source.count() == 2
    wrong = replace(source, files=replace(source.files, expected_rows=3))
    with pytest.raises(UnreadableError, match="says 3 rows and the files hold 2"):
        wrong.count()


def test_a_lake_is_compared_with_a_lake_and_no_warehouse_is_needed(tmp_path: Path, catalog: SqlCatalog) -> None:
    rows = pa.table({"id": range(1_000), "v": [f"value {n}" for n in range(1_000)]})
    root = tmp_path / "delta"
    write_deltalake(root, rows)
    table = catalog.create_table("crm.things", schema=rows.schema)
    table.append(rows)
    config = tmp_path / "reconcile.yml"
    config.write_text(
        f"""
version: 1
comparisons:
  - name: things
    key: [id]
    warehouse: {{type: iceberg, catalog: lake, table: crm.things}}
    snapshot: {{type: delta, uri: "{root.as_uri()}"}}
"""
    )
    found = run(load_config(config), Settings(), audit=False)
    assert found.verdict == "equal", found.comparisons[0].reason
    Delta(root).update(updates={"v": "'other'"}, predicate="id = 7")
    Delta(root).delete("id = 8")
    edited = run(load_config(config), Settings(), audit=False).comparisons[0]
    versions = [told.inputs.snapshot_table for told in (found.comparisons[0], edited) if told.inputs is not None]
    assert versions == [f"delta table {root.as_uri()} version {version}" for version in (0, 2)]
    counts = edited.counts
    assert counts is not None
    assert (counts.changed, counts.extra, counts.matched) == (1, 1, 998)


@pytest.mark.parametrize(("module", "extra"), [("deltalake", "delta"), ("pyiceberg.exceptions", "iceberg")])
def test_what_is_not_installed_is_named(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    table = DeltaTable(type="delta", uri="file:///x") if extra == "delta" else None
    with pytest.raises(ConfigurationError, match=rf"install the extra: pip install 'millrace\[{extra}\]'"):
        resolve(table or IcebergTable(type="iceberg", metadata="file:///x"), SERVICES)


def test_nothing_of_the_extras_is_imported_before_a_comparison_names_it() -> None:
    extras = ("deltalake", "pyiceberg", "adbc_driver_manager", "adbc_driver_postgresql", "adbc_driver_snowflake")
    code = f"import sys, reconcile.cli, reconcile.runner; print([n for n in {extras} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
