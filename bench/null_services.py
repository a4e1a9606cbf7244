"""Pub/Sub and the Storage Write API reduced to their protocols: to a client they cost what the real ones do.

The source sends responses of StreamingPull that were prepared beforehand; the sink counts rows and confirms them. Both
live in a process of their own, so that the CPU time of whoever is measured holds none of theirs.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import Any, Final

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types as storage_types
from google.protobuf import empty_pb2
from google.pubsub_v1 import types as pubsub_types

from ingest.row import RAW_ROW_TYPE

AT_ONCE: Final = 500
"""Messages of a response."""
_TEMPLATES: Final = 8
DISTINCT: Final = _TEMPLATES * AT_ONCE
"""Events that differ; they repeat then, with other message ids."""
TABLE: Final = "member_tiers"
_MARK: Final = b"@@@@@@@@@@"
_ACK_ID_LENGTH: Final = 176
"""About the length of Pub/Sub's own tokens."""
_NOW_US: Final = 1_767_593_326_572_136
_CONTROL: Final = "millrace.bench.Control"
_PULL: Final[Any] = pubsub_types.StreamingPullResponse.pb()
_APPEND: Final[Any] = storage_types.AppendRowsRequest.pb()
_APPENDED: Final[bytes] = storage_types.AppendRowsResponse.pb()(append_result={}).SerializeToString()


@dataclass(frozen=True)
class Source:
    """What a subscription brings.

    Attributes:
        messages: how many in all.
        per_s: how many a second; None for as fast as they are taken.
    """

    messages: int
    per_s: float | None = None


@dataclass(frozen=True)
class Sink:
    """How rows are taken.

    Attributes:
        rows_per_s: at most; None for as fast as they come.
        notes_rows: whether the instants at which rows were published are noted.
    """

    rows_per_s: float | None = None
    notes_rows: bool = False


@dataclass(frozen=True)
class Script:
    """What the services do until they are told something else.

    Attributes:
        topic: short name of the topic.
        source: what every subscription brings.
        sink: how every table takes it.
    """

    topic: str
    source: Source
    sink: Sink = field(default_factory=Sink)


def small_event(number: int) -> tuple[str, bytes]:
    """Return the ordering key and the body of a Debezium event of about 390 bytes.

    Args:
        number: which one.
    """
    after = {"tier_id": number, "member_id": 74, "tier": "bronze", "qualifying_points": "429.15", "reason": "earned"}
    after |= {"started_on": 20_458, "ends_on": None, "created_at": _NOW_US, "updated_at": _NOW_US}
    source = {"connector": "postgresql", "name": "loyalty", "ts_us": _NOW_US, "db": "loyalty", "schema": "member"}
    source |= {"table": "member_tiers", "txId": 3_293, "lsn": 24_693_242 + number}
    event = {"before": None, "after": after, "source": source, "op": "c", "ts_ms": _NOW_US // 1_000}
    return json.dumps({"tier_id": number}, separators=(",", ":")), json.dumps(event, separators=(",", ":")).encode()


def small_rows(count: int) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that stand in the first events of a source.

    Args:
        count: how many.
    """
    for number in range(count):
        # As often as the prepared responses repeat.
        _, event = small_event(number % DISTINCT)
        yield json.loads(event)["after"]


class _Services:
    def __init__(self) -> None:
        self._script = Script("", Source(0))
        self._template: list[bytes] = []
        self._run = self._sent = self._streams = self._rows = 0
        self._outstanding: dict[int, int] = {}
        self._acked = asyncio.Event()
        self._noted: list[list[int]] = []
        self._free_at = 0.0

    async def configure(self, request: bytes, _: Any) -> bytes:
        """Take up a script from its beginning."""
        told = json.loads(request)
        self._script = Script(told["topic"], Source(**told["source"]), Sink(**told["sink"]))
        self._template = [_response(first * AT_ONCE, AT_ONCE) for first in range(_TEMPLATES)]
        self._sent = self._rows = 0
        self._noted, self._free_at = [], 0.0
        return b""

    async def report(self, _: bytes, __: Any) -> bytes:
        """Return what was sent, what was taken, and what was noted of it."""
        return json.dumps({"sent": self._sent, "rows": self._rows, "noted": self._noted}).encode()

    async def get_subscription(self, request: Any, _: Any) -> Any:
        return pubsub_types.Subscription.pb()(name=request.subscription, topic=self._script.topic)

    async def acknowledge(self, request: Any, _: Any) -> Any:
        stream = int(request.ack_ids[0][:3])
        self._outstanding[stream] -= len(request.ack_ids)
        self._acked.set()
        return empty_pb2.Empty()

    async def modify_ack_deadline(self, _: Any, __: Any) -> Any:
        return empty_pb2.Empty()

    async def streaming_pull(self, requests: AsyncIterator[Any], context: Any) -> None:
        first = await anext(requests)
        self._streams += 1
        stream = self._streams
        self._outstanding[stream] = 0
        send = self._send(stream, first.max_outstanding_messages or AT_ONCE * 20, context)
        sending = asyncio.create_task(send)
        try:
            async for _ in requests:
                pass
        finally:
            sending.cancel()

    async def _send(self, stream: int, most: int, context: Any) -> None:
        await context.write(_PULL().SerializeToString())
        began = time.monotonic()
        while True:
            source = self._script.source
            due = source.messages
            if source.per_s is not None:
                due = min(due, int((time.monotonic() - began) * source.per_s))
            count = min(AT_ONCE, due - self._sent)
            if count <= 0:
                await asyncio.sleep(0.005)
            elif self._outstanding[stream] + count > most:
                self._acked.clear()
                await self._acked.wait()
            else:
                self._sent += count
                self._outstanding[stream] += count
                await context.write(self._next(stream, count, steady=source.per_s is not None))

    def _next(self, stream: int, count: int, *, steady: bool) -> bytes:
        self._run += 1
        template = _response(0, count) if steady or count < AT_ONCE else self._template[self._run % _TEMPLATES]
        return template.replace(_MARK, b"%03d%07d" % (stream, self._run))

    async def append_rows(self, requests: AsyncIterator[bytes], context: Any) -> None:
        schema: Any = None
        async for encoded in requests:
            request = _APPEND.FromString(encoded)
            if request.arrow_rows.HasField("writer_schema"):
                schema = pa.ipc.read_schema(pa.py_buffer(request.arrow_rows.writer_schema.serialized_schema))
            if "/datasets/raw/" not in request.write_stream:
                await context.write(_APPENDED)  # the ingester's reports on itself
                continue
            rows = self._count(request, schema)
            self._rows += rows
            if self._script.sink.rows_per_s is not None:
                self._free_at = max(self._free_at, time.monotonic()) + rows / self._script.sink.rows_per_s
                await asyncio.sleep(self._free_at - time.monotonic())
            await context.write(_APPENDED)

    def _count(self, request: Any, schema: Any) -> int:
        if request.HasField("arrow_rows"):
            batch = pa.ipc.read_record_batch(pa.py_buffer(request.arrow_rows.rows.serialized_record_batch), schema)
            return int(batch.num_rows)
        rows = request.proto_rows.rows.serialized_rows
        if self._script.sink.notes_rows:
            read = RAW_ROW_TYPE.message_class.FromString
            self._noted.append([read(row)._publish_ts for row in rows])  # noqa: SLF001 - a column's name
        return len(rows)


def _response(first: int, count: int) -> bytes:
    """Return a response of StreamingPull whose ids hold a mark, to be replaced by what makes them unique."""
    response, now_ns = _PULL(), time.time_ns()
    for number in range(count):
        identity = f"{_MARK.decode()}{number:04d}"
        one = response.received_messages.add(ack_id=identity.ljust(_ACK_ID_LENGTH, "A"))
        key, data = small_event(first + number)
        one.message.message_id, one.message.ordering_key, one.message.data = identity, key, data
        one.message.publish_time.seconds, one.message.publish_time.nanos = divmod(now_ns, 1_000_000_000)
    encoded: bytes = response.SerializeToString()
    return encoded


async def _serve(connection: Any) -> None:
    services, server = _Services(), grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])

    def unary(behaviour: Any, request: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            behaviour, request.FromString, lambda reply: reply.SerializeToString()
        )

    subscriber = {
        "GetSubscription": unary(services.get_subscription, pubsub_types.GetSubscriptionRequest.pb()),
        "Acknowledge": unary(services.acknowledge, pubsub_types.AcknowledgeRequest.pb()),
        "ModifyAckDeadline": unary(services.modify_ack_deadline, pubsub_types.ModifyAckDeadlineRequest.pb()),
        "StreamingPull": grpc.stream_stream_rpc_method_handler(
            services.streaming_pull, pubsub_types.StreamingPullRequest.pb().FromString
        ),
    }
    write = {"AppendRows": grpc.stream_stream_rpc_method_handler(services.append_rows)}
    control = {
        "Configure": grpc.unary_unary_rpc_method_handler(services.configure),
        "Report": grpc.unary_unary_rpc_method_handler(services.report),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
            grpc.method_handlers_generic_handler("google.cloud.bigquery.storage.v1.BigQueryWrite", write),
            grpc.method_handlers_generic_handler(_CONTROL, control),
        )
    )
    connection.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


def _main(connection: Any) -> None:
    asyncio.run(_serve(connection))


class NullServices:
    """The services, seen from outside.

    Attributes:
        address: `host:port` of both.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])

    def configure(self, script: Script) -> None:
        """Have the services take up a script from its beginning."""
        self._call("Configure", json.dumps(asdict(script)).encode())

    def report(self) -> Mapping[str, Any]:
        """Return `sent` messages, `rows` taken, and the publish instants `noted` of each request's rows."""
        found: Mapping[str, Any] = json.loads(self._call("Report", b""))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self, method: str, request: bytes) -> bytes:
        answer: bytes = self._channel.unary_unary(f"/{_CONTROL}/{method}", None, None)(request, timeout=10)
        return answer


@contextmanager
def null_services() -> Iterator[NullServices]:
    """Serve on a free port while the context lasts.

    Yields:
        The services.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs,), daemon=True)
    process.start()
    services = NullServices(f"127.0.0.1:{ours.recv()}")
    try:
        yield services
    finally:
        services.close()
        process.terminate()
        process.join()
