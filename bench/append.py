"""Appending: the ingester's writer against the stock one, and whether a long run of appends grows dearer."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.writer import AppendRowsStream
from google.protobuf import descriptor_pb2

from bench.conditions import Conditions
from bench.measure import Contender, contest, start
from bench.result import Case, Result, Run, ratio
from core.clients import bigquery_client, bigquery_write_client
from core.contracts import TableContract, load_contracts
from core.settings import Settings
from ingest.append import AppendStream, TableWriter
from ingest.resources import table_path
from ingest.row import RAW_ROW_TYPE, RawRow, encode_rows
from ingest.rpc import BigQueryWrite, storage_channel
from ingest.settings import IngestSettings
from ingest.setup import raw_table

_PROJECT: Final = "bench-append"
_TABLE: Final = "members"
_NOW_US: Final = 1_767_600_000_000_000
_PART: Final = 5
"""The course is looked at by the first and the last fifth of the appends."""

PROMPT_POLLING: Final = DEFAULT_POLLING.with_delay(initial=0.005, maximum=0.02)
"""How often the stock writer's future looks whether its append was confirmed. Its default is after up to a second."""


@dataclass(frozen=True)
class Job:
    """Rows to append to an empty table.

    Attributes:
        settings: where BigQuery is.
        dataset: dataset of the table, one a round and contender.
        appends: how many appends, one after the other.
        rows: rows of an append.
        server: process id of BigQuery.
    """

    settings: Settings
    dataset: str
    appends: int
    rows: int
    server: int

    @property
    def table(self) -> str:
        """Full name of the table, as the Storage Write API spells it."""
        return table_path(self.settings, self.dataset, _TABLE)


def run(conditions: Conditions) -> Result:
    """Append the same rows with both writers, one append after the other, each to an empty table.

    Args:
        conditions: how often, how much, and where the services are.

    Returns:
        Rows per CPU second of the client, and the cost of the last appends over that of the first.
    """
    settings = conditions.stand_ins.settings(_PROJECT)
    contract = load_contracts(settings.contracts_path)[_TABLE]
    appends, rows = conditions.size((100, 1_000), (10, 100))
    server = conditions.stand_ins.bigquery_pid

    def emptied(number: int) -> dict[str, Job]:
        jobs = {}
        for place, contender in enumerate(CONTENDERS):
            dataset = f"round_{number}_{place}"
            _create(settings, contract, dataset)
            jobs[contender.name] = Job(settings, dataset, appends, rows, server)
        return jobs

    cases = contest(CONTENDERS, emptied, rounds=conditions.rounds, apart=not conditions.quick)
    ours, stock = cases
    first, last = course(ours)
    return Result(
        name="append",
        title=f"{appends} appends of {rows:,} raw rows each, one after the other, confirmed",
        item="rows",
        cases=(*cases, first, last),
        ratios=(
            ratio(ours, stock, "times the stock writer"),
            ratio(first, last, "cost of the last fifth of the appends over the first, BigQuery's included"),
        ),
    )


def course(case: Case) -> tuple[Case, Case]:
    """Return the first and the last fifth of a case's appends as cases of their own.

    Args:
        case: runs with a lap an append, of at least five.

    Returns:
        The first and the last fifth.
    """
    parts = [(_part(run, slice(None, len(run.laps) // _PART)), _part(run, _last(run))) for run in case.runs]
    firsts, lasts = zip(*parts, strict=True)
    about = "of the ingester's appends, client and server together"
    return Case("first fifth", "ours", about, firsts), Case("last fifth", "ours", about, lasts)


def _last(run: Run) -> slice:
    return slice(len(run.laps) - len(run.laps) // _PART, None)


def _part(run: Run, part: slice) -> Run:
    laps = run.laps[part]
    share = len(laps) / len(run.laps)
    # The server's clock ticks in hundredths of a second.
    return Run(round(run.items * share), max(sum(laps), 0.01), run.wall_s * share, laps)


def _create(settings: Settings, contract: TableContract, dataset: str) -> None:
    with bigquery_client(settings) as client:
        client.create_dataset(dataset)
        table = raw_table(settings, contract)
        client.create_table(type(table)(f"{settings.project}.{dataset}.{_TABLE}", table.schema))


def _rows(job: Job) -> list[bytes]:
    payload = b'{"member_id":1,"member_number":"M1","status":"active","email":"member@example.org"}'
    rows = [
        RawRow(
            op="UPDATE",
            op_inferred=False,
            source_system="loyalty",
            source_table="member.members",
            event_id=str(number),
            load_id="bench",
            publish_ts=_NOW_US,
            key=b'{"member_id":%d}' % number,
            payload=payload,
            before=payload,
            source_position=f"{number:020d}",
        )
        for number in range(job.rows)
    ]
    return encode_rows(rows, _NOW_US)


class _Laps:
    """CPU time of client and server from one append to the next."""

    def __init__(self, server: int) -> None:
        self._server = psutil.Process(server)
        self._last = self._now()
        self.seconds: list[float] = []

    def lap(self) -> None:
        now = self._now()
        self.seconds.append(now - self._last)
        self._last = now

    def _now(self) -> float:
        times = self._server.cpu_times()
        return time.process_time() + times.user + times.system


def ingester(job: Job) -> Run:
    """Append with the ingester's writer."""
    return asyncio.run(_ingester(job))


async def _ingester(job: Job) -> Run:
    rows = _rows(job)
    limits = IngestSettings()
    began, laps = start(), _Laps(job.server)
    async with storage_channel(job.settings) as channel:
        stream = AppendStream(BigQueryWrite(channel), job.table, RAW_ROW_TYPE, limits.append_timeout_s)
        writer = TableWriter(stream, limits.retry_policy(limits.append_attempts))
        for _ in range(job.appends):
            await writer.append(rows)
            laps.lap()
        measured = began.stop(job.appends * len(rows), laps.seconds)
        await writer.close()
    _check(job)
    return measured


def stock(job: Job) -> Run:
    """Append with `AppendRowsStream`."""
    rows = _rows(job)
    client = bigquery_write_client(job.settings)
    began, laps = start(), _Laps(job.server)
    stream = append_rows_stream(client, job.table, RAW_ROW_TYPE.descriptor)
    for _ in range(job.appends):
        stream.send(append_rows_request(job.table, rows)).result(polling=PROMPT_POLLING)
        laps.lap()
    measured = began.stop(job.appends * len(rows), laps.seconds)
    stream.close()
    client.transport.close()
    _check(job)
    return measured


def append_rows_stream(client: Any, table: str, descriptor: descriptor_pb2.DescriptorProto) -> AppendRowsStream:
    """Open the stock client's stream to a table's default stream.

    Args:
        client: a `BigQueryWriteClient`.
        table: full name of the table.
        descriptor: type of the rows.
    """
    data = types.AppendRowsRequest.ProtoData(writer_schema=types.ProtoSchema(proto_descriptor=descriptor))
    return AppendRowsStream(client, types.AppendRowsRequest(write_stream=f"{table}/streams/_default", proto_rows=data))


def append_rows_request(table: str, rows: Sequence[bytes]) -> types.AppendRowsRequest:
    """Return the stock client's request to append rows.

    Args:
        table: full name of the table.
        rows: serialised rows.
    """
    data = types.AppendRowsRequest.ProtoData(rows=types.ProtoRows(serialized_rows=list(rows)))
    return types.AppendRowsRequest(write_stream=f"{table}/streams/_default", proto_rows=data)


def _check(job: Job) -> None:
    with bigquery_client(job.settings) as client:
        [row] = client.query_and_wait(f"select count(*) from `{job.dataset}.{_TABLE}`")  # noqa: S608 - our own name
    if row[0] != job.appends * job.rows:
        raise RuntimeError(f"{row[0]} rows stand in {job.dataset}.{_TABLE}, not {job.appends * job.rows}")


CONTENDERS: Final = (
    Contender("ingester", "ours", "raw protocol buffers on grpc.aio", ingester),
    Contender("AppendRowsStream", "peer", "google-cloud-bigquery-storage's writer", stock),
)
