"""BigQuery as a source on either side, and tables on S3: through the services themselves."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from deltalake import write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from reconcile_world import DATASET, Estate, load

from core.clients import s3_client
from core.contracts import DataType
from core.errors import UnreadableError
from core.settings import Settings
from reconcile import load_config, run
from reconcile.plans import FileSet, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.read.filters import conditions
from reconcile.rules import EXACT, Rule
from reconcile.source_config import BigQueryTable, DeltaTable, FilesTable
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.model import Predicate
from reconcile.sources.opening import open_source
from reconcile.sources.resolving import resolve
from reconcile.sources.services import Services

BUCKET = "reconcile-lake"
ROWS = 1_000
NAME = "source_things"
KINDS: dict[str, DataType] = {"id": "int64", "v": "string", "amount": "numeric"}


def _rows() -> pa.Table:
    amounts = pa.array([n * 100 for n in range(ROWS)], pa.int64()).cast(pa.decimal128(38, 9))
    return pa.table({"id": range(ROWS), "v": [f"value {n}" for n in range(ROWS)], "amount": amounts})


@pytest.fixture(scope="module")
def settings(estate: Estate) -> Settings:
    s3_client(estate.settings).create_bucket(Bucket=BUCKET)
    schema = [schema_field(name, kind) for name, kind in KINDS.items()]
    load(estate.client, f"{estate.settings.project}.{DATASET}.{NAME}", schema, _rows())
    return estate.settings


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    with Services(settings, datetime.now(UTC)) as found:
        yield found


def _options(settings: Settings) -> dict[str, str]:
    credentials = s3_client(settings)._request_signer._credentials
    return {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
        "aws_endpoint": settings.s3_endpoint_url or "",
        "aws_allow_http": "true",
        "aws_region": "us-east-1",
    }


def test_bigquery_counts_and_sums_up_itself_as_files_do(services: Services, tmp_path: Path) -> None:
    pq.write_table(_rows(), tmp_path / "a.parquet")
    files = resolve(FilesTable(type="files", uri=tmp_path.as_uri()), services).table
    table = resolve(BigQueryTable(type="bigquery", table=f"{DATASET}.{NAME}"), services).table
    columns = tuple(PlannedColumn(n, n, k, n == "id", EXACT, None, False) for n, k in KINDS.items())
    lower = tuple(
        PlannedColumn(n, n, k, n == "id", Rule(case="ignore") if k == "string" else EXACT, None, False)
        for n, k in KINDS.items()
    )
    with open_source(table, services) as warehouse, open_source(files, services) as snapshot:
        assert isinstance(warehouse, BigQuerySource)
        assert warehouse.schema() == snapshot.schema() == KINDS
        few = Predicate(conditions({"id": (3, 4, 5_000)}))
        assert (warehouse.count(), warehouse.count(few)) == (snapshot.count(), snapshot.count(few)) == (ROWS, 2)
        for buckets in (KeyBuckets(columns[:1], None), KeyBuckets(columns[:1], 3)):
            assert warehouse.checksums(columns, buckets) == snapshot.checksums(columns, buckets)
            assert warehouse.checksums(columns, buckets, few) == snapshot.checksums(columns, buckets, few)
            assert warehouse.checksums(lower, buckets) == snapshot.checksums(lower, buckets)
    gone = resolve(BigQueryTable(type="bigquery", table=f"{DATASET}.gone"), services).table
    with open_source(gone, services) as warehouse, pytest.raises(UnreadableError, match="gone"):
        warehouse.count()


def test_bigquery_is_compared_with_tables_on_s3_on_whichever_side(
    settings: Settings, services: Services, tmp_path: Path
) -> None:
    root = f"s3://{BUCKET}/delta/things"
    write_deltalake(root, _rows(), storage_options=_options(settings))
    options = _options(settings)
    catalog = SqlCatalog(
        "lake",
        **{
            "uri": f"sqlite:///{tmp_path}/catalog.db",
            "warehouse": f"s3://{BUCKET}/iceberg",
            "s3.endpoint": options["aws_endpoint"],
            "s3.access-key-id": options["aws_access_key_id"],
            "s3.secret-access-key": options["aws_secret_access_key"],
            "s3.region": "us-east-1",
        },
    )
    catalog.create_namespace("crm")
    table = catalog.create_table("crm.things", schema=_rows().schema)
    table.append(_rows())
    metadata = table.metadata_location
    catalog.close()
    config = tmp_path / "reconcile.yml"
    config.write_text(
        f"""
version: 1
comparisons:
  - name: with_delta
    key: [id]
    warehouse: {DATASET}.{NAME}
    where: {{}}
    snapshot: {{type: delta, uri: "{root}"}}
  - name: with_iceberg
    key: [id]
    warehouse: {{type: iceberg, metadata: "{metadata}"}}
    snapshot: {{type: bigquery, table: {DATASET}.{NAME}}}
"""
    )
    found = run(load_config(config), settings, audit=False)
    assert {c.name: (c.verdict, c.reason) for c in found.comparisons} == {
        "with_delta": ("equal", None),
        "with_iceberg": ("equal", None),
    }
    lake, warehouse = (c.inputs for c in found.comparisons)
    assert lake is not None
    assert warehouse is not None
    assert (lake.snapshot_table, lake.snapshot_pin) == (f"delta table {root} version 0", None)
    assert (warehouse.snapshot_pin or "").startswith("as of 20")
    files = resolve(DeltaTable(type="delta", uri=root), services).table
    assert isinstance(files, FileSet)
    s3_client(settings).delete_object(Bucket=BUCKET, Key=f"delta/things/{files.objects[0].path}")
    lost = run(load_config(config), settings, audit=False, tables=["with_delta"]).comparisons[0]
    assert lost.verdict == "unreadable"
    assert "is not there" in (lost.reason or "")
