"""A small world for the tests of reconciliation: its truth in the warehouse and, as snapshots, on S3."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from bigquery_json import schema_field
from google.cloud import bigquery

from core.contracts import Contracts
from core.settings import Settings
from devstack.world.changes import Truth
from devstack.world.planted import PlantedDifference

ROOT = Path(__file__).parents[3]
DATASET = "reconcile_structure"
EQUAL, CHANGED = "2026-01-05T07", "2026-01-05T08"
"""Snapshots: of the rows in the warehouse, and of others."""


@dataclass(frozen=True)
class Estate:
    """What the tests compare.

    Attributes:
        settings: where everything is.
        contracts: the tables.
        truth: the rows in the warehouse, and in the snapshot `2026-01-05T07`.
        planted: how the snapshot `2026-01-05T08` differs from the warehouse.
        changed: the rows of that snapshot.
        client: the warehouse.
    """

    settings: Settings
    contracts: Contracts
    truth: Truth
    planted: tuple[PlantedDifference, ...]
    changed: Truth
    client: bigquery.Client


TAKEN_AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
LANDED_AT = datetime(2026, 1, 5, 7, tzinfo=UTC)

_ARROW = {
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


def load(client: bigquery.Client, name: str, schema: list[bigquery.SchemaField], table: pa.Table) -> None:
    """Make a table anew and load it."""
    client.delete_table(name, not_found_ok=True)
    client.create_table(bigquery.Table(name, schema=schema))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sink.seek(0)
    config = bigquery.LoadJobConfig(source_format=bigquery.SourceFormat.PARQUET)
    client.load_table_from_file(sink, name, job_config=config).result()


def load_structure(client: bigquery.Client, dataset: str, contracts: Contracts, truth: Truth) -> None:
    """Load the truth as the zone structure would hold it: typed, with the technical columns that matter here."""
    client.create_dataset(dataset, exists_ok=True)
    for name, by_key in truth.items():
        columns = contracts[name].columns
        rows = list(by_key.values())
        arrays = {
            column.name: pa.array([row[column.name] for row in rows], _ARROW[column.data_type]) for column in columns
        }
        arrays["is_deleted"] = pa.array([False] * len(rows))
        arrays["_ingestion_ts"] = pa.array([LANDED_AT] * len(rows), _ARROW["timestamp"])
        schema = [schema_field(column.name, column.data_type) for column in columns]
        schema += [schema_field("is_deleted", "bool"), schema_field("_ingestion_ts", "timestamp")]
        load(client, f"{client.project}.{dataset}.{name}", schema, pa.table(arrays))


@dataclass
class Faults:
    """What a proxy does to answers: `cut` that many bodies short, refuse with `status` and `code` when it is set.

    Of refusals, `most` are given, then none; answers come `late_s` seconds late.
    """

    cut: int = 0
    status: int | None = None
    code: str = "AccessDenied"
    most: int = 1_000_000
    late_s: float = 0.0
    requests: int = 0


@contextmanager
def faulty_proxy(target: str) -> Iterator[tuple[str, Faults]]:
    """Stand between a client and an S3 server, and do it harm."""
    faults = Faults()
    upstream = httpx.Client(base_url=target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            faults.requests += 1
            sleep(faults.late_s)
            if faults.status is not None and faults.most > 0:
                faults.most -= 1
                self._answer(faults.status, {}, f"<Error><Code>{faults.code}</Code></Error>".encode())
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = upstream.get(self.path, headers=headers)
            body = answer.content
            if faults.cut and "range" in {name.lower() for name in headers}:
                faults.cut -= 1
                self._answer(answer.status_code, dict(answer.headers), body, send=body[: len(body) // 2])
                self.close_connection = True
                return
            self._answer(answer.status_code, dict(answer.headers), body)

        def _answer(self, status: int, headers: dict[str, str], body: bytes, send: bytes | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if send is None else send)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        upstream.close()
