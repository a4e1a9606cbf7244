"""What the Storage Read API has in flight keeps to a budget of bytes, however many the streams and slow the readers."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pyarrow as pa
import pytest
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.types import ArrowRecordBatch, ReadRowsRequest, ReadRowsResponse

from core.clients import bigquery_read_client
from core.errors import UnreadableError
from core.settings import Settings
from reconcile.config import Limits
from reconcile.memory import LEAST_LEFT_MB, readers_share
from reconcile.read.budget import AS_IT_CAME, MessageBudget
from reconcile.read.spill import spill
from reconcile.read.warehouse import Session, WarehouseTable, read_stream

STREAMS, MESSAGES, ROWS = 4, 3, 16_384
SCHEMA = pa.schema([("v", pa.int64())])
BATCH = pa.record_batch([pa.array(range(ROWS))], schema=SCHEMA)
WIRE = BATCH.serialize().to_pybytes()
TAKES = AS_IT_CAME * len(WIRE) + BATCH.nbytes
"""What a message takes while it is taken apart."""
TABLE = WarehouseTable("p", "d", "t")
SESSION = Session("s", SCHEMA, tuple(f"s/streams/{n}" for n in range(STREAMS)), None)
METHOD = "/google.cloud.bigquery.storage.v1.BigQueryRead/ReadRows"


class _ReadRows:
    """A Storage Read API whose every stream has so many messages of one length, and which counts what it hands out.

    It is a `grpc.GenericRpcHandler` by its shape.
    """

    def __init__(self, messages: int) -> None:
        self.sent = 0
        self._messages = messages

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method != METHOD:
            return None
        return grpc.unary_stream_rpc_method_handler(
            self._rows,
            request_deserializer=ReadRowsRequest.deserialize,
            response_serializer=ReadRowsResponse.serialize,
        )

    def _rows(self, request: ReadRowsRequest, _: grpc.ServicerContext) -> Iterator[ReadRowsResponse]:
        for _number in range(request.offset // ROWS, self._messages):
            yield ReadRowsResponse(row_count=ROWS, arrow_record_batch=ArrowRecordBatch(serialized_record_batch=WIRE))
            self.sent += 1


@contextmanager
def _served(messages: int = MESSAGES) -> Iterator[tuple[BigQueryReadClient, _ReadRows]]:
    handler = _ReadRows(messages)
    server = grpc.server(ThreadPoolExecutor(STREAMS))
    server.add_generic_rpc_handlers((cast("Any", handler),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = bigquery_read_client(Settings(bigquery_storage_emulator_host=f"127.0.0.1:{port}"))
    try:
        yield client, handler
    finally:
        client.transport.close()
        server.stop(None).wait()


@dataclass
class _SlowReaders:
    """Readers that keep each message for as long as more of them might come, and count how many they keep at once."""

    most: int = 0
    now: int = 0
    rows: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            with self.changed:
                self.now, self.rows = self.now + 1, self.rows + batch.num_rows
                self.most = max(self.most, self.now)
                self.changed.notify_all()
                # Without a budget all of them come, and at once.
                self.changed.wait_for(lambda: self.most == STREAMS, timeout=0.1)
                self.now -= 1


@pytest.mark.parametrize(("budget", "at_once"), [(0, 1), (2 * TAKES + 1, 2), (3 * TAKES, 3), (10 * TAKES, STREAMS)])
def test_no_more_messages_are_in_flight_than_the_budget_has_bytes_for(budget: int, at_once: int) -> None:
    readers, shared = _SlowReaders(), MessageBudget(budget)
    with _served() as (client, _), ThreadPoolExecutor(STREAMS) as pool:
        read = partial(read_stream, client, TABLE, SESSION, budget=shared)
        list(pool.map(readers.read, map(read, SESSION.streams)))
    assert readers.rows == STREAMS * MESSAGES * ROWS
    assert readers.most == at_once


def test_the_transport_fetches_little_that_nobody_asked_for() -> None:
    with _served(messages=400) as (client, server):
        batches = read_stream(client, TABLE, SESSION, SESSION.streams[0], budget=MessageBudget(0))
        ahead = []
        for number, _ in enumerate(batches, start=1):
            ahead.append(_still(lambda: server.sent) - number)
            if number == 40:
                break
        batches.close()  # type: ignore[attr-defined] # a generator
    # A MiB may be fetched ahead, and the sockets hold some; as gRPC has it by itself it is four MiB here.
    assert max(ahead) * len(WIRE) < 2 * 1024 * 1024, ahead


def _still(count: Callable[[], int]) -> int:
    """Return a count once it has stopped for a while."""
    before, idle = count(), threading.Event()
    while True:
        idle.wait(0.02)
        if (after := count()) == before:
            return after
        before = after


def test_a_reader_that_fails_lets_those_in_that_wait_for_room(tmp_path: Path) -> None:
    def refused(rows: int) -> None:
        raise UnreadableError(f"{rows} rows are too many")

    with _served() as (client, _):
        units = [
            partial(read_stream, client, TABLE, SESSION, stream, budget=shared)
            for shared in (MessageBudget(0),)
            for stream in SESSION.streams
        ]
        with pytest.raises(UnreadableError, match="are too many"):
            spill(units, SCHEMA, tmp_path, workers=STREAMS, stop=threading.Event(), on_rows=refused)


def test_fewer_readers_share_less_memory() -> None:
    # This process holds more than the least already, so that only the least is left of a small setting.
    least = readers_share(Limits.model_validate({"memory_limit": "400 MB", "readers": 64}))
    most = readers_share(Limits.model_validate({"memory_limit": "64 GB", "readers": 64}))
    assert least.readers < most.readers == 64
    assert 0 < least.message_bytes < LEAST_LEFT_MB * 1024 * 1024 < most.message_bytes
