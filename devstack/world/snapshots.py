"""The truth as snapshots on S3: Parquet or gzipped NDJSON, with a manifest. The same truth gives the same bytes."""

import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from core.contracts import Contracts, DataType, TableContract
from core.errors import ConfigurationError
from devstack.world.api_rows import api_json
from devstack.world.changes import Row, Truth
from devstack.world.notifications import iso_micros

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

SnapshotFormat = Literal["parquet", "ndjson"]

NDJSON_TABLES: Final = frozenset({"member_preferences", "member_interactions", "member_cases"})
"""Tables that the source gives as JSON; all others come as Parquet."""

_REGION_WITHOUT_CONSTRAINT: Final = "us-east-1"
_ROW_GROUP: Final = 50_000
_ARROW_TYPES: Final[Mapping[DataType, pa.DataType]] = {
    "int64": pa.int64(),
    "numeric": pa.decimal128(38, 9),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "json": pa.string(),
    "array<string>": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class SnapshotFile:
    """One file of a snapshot.

    Attributes:
        table: the table.
        format: its format.
        path: its path below the snapshot's folder.
        rows: how many rows it holds.
        data: its bytes.
    """

    table: str
    format: SnapshotFormat
    path: str
    rows: int
    data: bytes


def snapshot_files(
    contracts: Contracts, truth: Truth, ndjson_tables: frozenset[str] = NDJSON_TABLES
) -> Iterator[SnapshotFile]:
    """Yield the files of a snapshot.

    Args:
        contracts: the tables.
        truth: the rows.
        ndjson_tables: tables written as NDJSON; all others are written as Parquet.

    Yields:
        A file a table, its rows in the order of their keys.
    """
    for table, by_key in truth.items():
        rows = [by_key[key] for key in sorted(by_key)]
        contract = contracts[table]
        if table in ndjson_tables:
            yield SnapshotFile(table, "ndjson", f"{table}/part-00000.ndjson.gz", len(rows), _ndjson(contract, rows))
        else:
            yield SnapshotFile(table, "parquet", f"{table}/part-00000.parquet", len(rows), _parquet(contract, rows))


def write_snapshot(
    client: "S3Client",
    uri: str,
    snapshot_id: str,
    truth: Truth,
    *,
    contracts: Contracts,
    taken_at: datetime,
    ndjson_tables: frozenset[str] = NDJSON_TABLES,
) -> dict[str, Any]:
    """Write a snapshot, the manifest last: a folder without one is a snapshot in the making.

    Args:
        client: where to; see `core.clients.s3_client`.
        uri: `s3://bucket` or `s3://bucket/prefix`; the bucket is made when it is not there.
        snapshot_id: the snapshot's name.
        truth: the rows.
        contracts: the tables.
        taken_at: when they were so (UTC).
        ndjson_tables: tables written as NDJSON; all others are written as Parquet.

    Returns:
        The manifest.

    Raises:
        ConfigurationError: when `uri` is not an S3 URI.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigurationError(f"{uri!r} is not an S3 URI; use s3://bucket or s3://bucket/prefix")
    bucket = parts.netloc
    folder = "/".join(part for part in (parts.path.strip("/"), snapshot_id) if part)
    _make_bucket(client, bucket)
    tables: dict[str, Any] = {}
    for file in snapshot_files(contracts, truth, ndjson_tables):
        client.put_object(Bucket=bucket, Key=f"{folder}/{file.path}", Body=file.data)
        tables[file.table] = {"format": file.format, "rows": file.rows, "files": [file.path]}
    manifest = {"snapshot_id": snapshot_id, "taken_at": iso_micros(taken_at), "tables": tables}
    client.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=msgspec.json.encode(manifest))
    return manifest


def _make_bucket(client: "S3Client", bucket: str) -> None:
    if bucket in (found["Name"] for found in client.list_buckets()["Buckets"]):
        return
    region = client.meta.region_name
    if region == _REGION_WITHOUT_CONSTRAINT:
        client.create_bucket(Bucket=bucket)
    else:
        constraint = cast("BucketLocationConstraintType", region)
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": constraint})


def _ndjson(contract: TableContract, rows: list[Row]) -> bytes:
    text = b"".join(api_json(contract, row) + b"\n" for row in rows)
    # Without a time in the header the bytes depend on nothing but the rows.
    return gzip.compress(text, compresslevel=6, mtime=0)


def _parquet(contract: TableContract, rows: list[Row]) -> bytes:
    schema = pa.schema([pa.field(c.name, _ARROW_TYPES[c.data_type], c.is_nullable) for c in contract.columns])
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    target = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        target,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        # Without checksums a reader takes a damaged page for data.
        write_page_checksum=True,
    )
    return target.getvalue()
