"""Lake tables on Cloud Storage, and Iceberg tables with delete files, which are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable as Delta
from deltalake import write_deltalake
from google.cloud.storage import Bucket
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from core.clients import gcs_client
from core.errors import UnreadableError
from core.settings import Settings
from devstack.gcs.server import running_gcs
from reconcile import ReconcileConfig, run
from reconcile.result import ComparisonResult
from reconcile.source_config import DeltaTable, IcebergTable
from reconcile.sources.resolving import resolve
from reconcile.sources.services import Services

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = pa.table({"id": range(400), "v": [f"value {n}" for n in range(400)]})


@pytest.fixture(scope="module")
def gcs() -> Iterator[tuple[Settings, Bucket]]:
    with running_gcs() as url:
        settings = Settings(gcs_emulator_host=url)
        yield settings, gcs_client(settings).create_bucket("lake")


def _uploaded(bucket: Bucket, folder: Path, name: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            bucket.blob(f"{name}{path.relative_to(folder).as_posix()}").upload_from_filename(str(path))


def _compared(settings: Settings, warehouse: dict[str, Any], snapshot: dict[str, Any]) -> ComparisonResult:
    comparison = {"name": "things", "key": ["id"], "warehouse": warehouse, "snapshot": snapshot}
    config = ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})
    [found] = run(config, settings, audit=False).comparisons
    return found


def test_a_delta_table_on_cloud_storage_is_read_in_the_version_named(
    gcs: tuple[Settings, Bucket], tmp_path: Path
) -> None:
    settings, bucket = gcs
    local = tmp_path / "things"
    write_deltalake(local, ROWS.slice(0, 100))
    write_deltalake(local, ROWS.slice(100), mode="append")
    Delta(local).delete("id = 7")
    _uploaded(bucket, local, "delta/things/")
    remote = {"type": "delta", "uri": "gs://lake/delta/things"}
    found = _compared(settings, {"type": "delta", "uri": local.as_uri()}, remote)
    assert (found.verdict, found.reason) == ("equal", None)
    found = _compared(settings, remote | {"version": 1}, remote)
    assert found.counts is not None
    assert (found.counts.extra, found.counts.matched) == (1, 399)
    assert found.inputs is not None
    assert found.inputs.warehouse_table == "delta table gs://lake/delta/things version 1"
    assert {one.uri.startswith("gs://lake/delta/things/") for one in found.inputs.objects} == {True}
    with (
        Services(settings, NOW) as services,
        pytest.raises(UnreadableError, match="there is no _delta_log in it"),
    ):
        resolve(DeltaTable(type="delta", uri="gs://lake/nothing"), services)
    blob = next(iter(bucket.list_blobs(prefix="delta/things/part-")))
    blob.delete()
    assert "is not there" in (_compared(settings, remote | {"version": 1}, remote).reason or "")


@contextmanager
def _catalog(folder: Path, **properties: str) -> Iterator[SqlCatalog]:
    found = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=folder.as_uri(), **properties)
    found.create_namespace("crm")
    try:
        yield found
    finally:
        found.close()


class StoredFiles:
    """Writes an Iceberg table's files, whose metadata says that they lie on Cloud Storage, to a folder here.

    The library makes it by its name, from the properties of the catalog.
    """

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties, self.folder = properties, Path(properties["lies-in"])
        self.io = PyArrowFileIO()

    def _here(self, location: str) -> str:
        return location.replace("gs://lake", self.folder.as_uri())

    def new_output(self, location: str) -> Any:
        made = self.io.new_output(self._here(location))
        return _Named(made, location)

    def new_input(self, location: str) -> Any:
        return self.io.new_input(self._here(location))

    def delete(self, location: str) -> None:
        self.io.delete(self._here(location))


class _Named:
    """An output that knows itself by another name."""

    def __init__(self, output: Any, location: str) -> None:
        self.output, self.location = output, location

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)

    def __len__(self) -> int:
        return len(self.output)


def _deleting(table: Table) -> None:
    """Add a manifest of position deletes to a table's current snapshot, as engines that merge on read leave them."""

    class Deletes(ManifestWriterV2):
        def content(self) -> ManifestContent:
            return ManifestContent.DELETES

        @property
        def _meta(self) -> dict[str, str]:
            return {**super()._meta, "content": "deletes"}

    snapshot = table.current_snapshot()
    assert snapshot is not None
    output = table.io.new_output(f"{table.location()}/metadata/deletes.avro")
    with Deletes(table.spec(), table.schema(), output, snapshot.snapshot_id, "null") as writer:
        file = DataFile.from_args(
            content=DataFileContent.POSITION_DELETES, file_path=f"{table.location()}/data/deletes.parquet",
            file_format=FileFormat.PARQUET, partition=Record(), record_count=1, file_size_in_bytes=100,
        )  # fmt: skip
        number = snapshot.sequence_number or 1
        writer.add_entry(
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED, snapshot_id=snapshot.snapshot_id, sequence_number=number,
                file_sequence_number=number, data_file=file,
            )
        )  # fmt: skip
    manifests = [*snapshot.manifests(table.io), writer.to_manifest_file()]
    target = table.io.new_output(snapshot.manifest_list)
    # The list is written over in place: the metadata goes on naming it.
    Path(snapshot.manifest_list.removeprefix("file://")).unlink()
    with write_manifest_list(2, target, snapshot.snapshot_id, None, number, "null") as listing:
        listing.add_manifests(manifests)


def test_an_iceberg_table_with_delete_files_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    with _catalog(tmp_path) as catalog, Services(Settings(), NOW) as services:
        table = catalog.create_table("crm.things", schema=ROWS.schema)
        table.append(ROWS)
        named = IcebergTable(type="iceberg", metadata=table.metadata_location)
        assert resolve(named, services).table is not None
        _deleting(table)
        with pytest.raises(UnreadableError, match=r"has delete files, which cannot be applied; compact it \(rewrite"):
            resolve(named, services)
    metadata = {"type": "iceberg", "metadata": table.metadata_location}
    found = _compared(Settings(), metadata, metadata)
    # Never read as if nothing had been deleted.
    assert (found.verdict, found.counts) == ("unreadable", None)
    assert "delete files" in (found.reason or "")


def test_an_iceberg_table_on_cloud_storage_is_read(gcs: tuple[Settings, Bucket], tmp_path: Path) -> None:
    settings, bucket = gcs
    here = tmp_path / "gcs"
    named = f"{StoredFiles.__module__}.{StoredFiles.__name__}"
    with _catalog(tmp_path, **{"py-io-impl": named, "lies-in": str(here)}) as catalog:
        table = catalog.create_table("crm.remote", schema=ROWS.schema, location="gs://lake/iceberg/remote")
        table.append(ROWS)
    _uploaded(bucket, here, "")
    write_deltalake(tmp_path / "delta", ROWS.slice(1))
    remote = {"type": "iceberg", "metadata": table.metadata_location}
    found = _compared(settings, {"type": "delta", "uri": (tmp_path / "delta").as_uri()}, remote)
    assert found.reason is None, found.reason
    assert found.counts is not None
    assert (found.counts.missing, found.counts.matched) == (1, 399)
    gone = {"type": "iceberg", "metadata": "gs://lake/iceberg/none.metadata.json"}
    assert "is not there" in (_compared(settings, gone, remote).reason or "")
