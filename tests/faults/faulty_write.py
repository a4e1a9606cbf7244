"""A Storage Write server that fails on command: the faults no well-behaved stand-in shows."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from ingest_river import River

Request: Any = types.AppendRowsRequest.pb()
Response: Any = types.AppendRowsResponse.pb()
StorageError: Any = types.StorageError.pb()
Stream: Any = types.WriteStream.pb()


@dataclass(frozen=True)
class Answer:
    """What the server does with one request.

    Attributes:
        status: ends the stream with it; None answers.
        error: answers with this error in the response; None answers well.
        commits: whether the rows are taken before the fault shows.
        ends: whether the stream ends without a word.
        hangs: whether no answer ever comes.
        schema_mismatch: whether the error says that the schema does not fit.
        loses_stream: whether the write stream is gone from then on.
    """

    status: grpc.StatusCode | None = None
    error: grpc.StatusCode | None = None
    commits: bool = False
    ends: bool = False
    hangs: bool = False
    schema_mismatch: bool = False
    loses_stream: bool = False


GOOD = Answer(commits=True)
REPORTS = tuple(f"/tables/{table}/streams/_default" for table in ("watermarks", "schema_drift"))
Row = dict[str, Any]
OpenRiver = Callable[["FaultyWrite"], AbstractAsyncContextManager[River]]
"""Opens a river whose BigQuery is the given server."""


@dataclass
class FaultyWrite:
    """The server's script and what it has taken.

    Attributes:
        script: answers to the coming requests, in order; good ones follow.
        for_ever: answers every request like this once the script is over; None for good ones.
        refuses: rows it refuses, by name or without naming them.
        names_rows: whether refused rows are named in `row_errors`.
        where: part of the full names of the tables that the faults hit; the others always answer well.
        gate: requests wait here.
        rows: what it has taken, by table.
        requests: rows of each request, in order.
        streams: connections that were opened.
        committed: rows in each committed stream that is there.
        made: committed streams that were ever made.
        violations: what a client must not do.
    """

    script: list[Answer] = field(default_factory=list)
    for_ever: Answer | None = None
    refuses: Callable[[Row], bool] | None = None
    names_rows: bool = True
    where: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    rows: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    requests: list[int] = field(default_factory=list)
    streams: int = 0
    committed: dict[str, int] = field(default_factory=dict)
    made: int = 0
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def landed_ids(self, project: str) -> list[str]:
        """Return the event ids in a project's raw tables, in order of arrival."""
        return [row["_event_id"] for row in self._of(project, "/datasets/raw/")]

    def dead_ids(self, project: str) -> list[str]:
        """Return the event ids of a project's dead letters."""
        return [row["event_id"] for row in self._of(project, "/tables/dead_letters")]

    def watermarks(self, project: str) -> list[Row]:
        """Return what was reported of the watermarks, in order of arrival."""
        return list(self._of(project, "/tables/watermarks"))

    def _of(self, project: str, part: str) -> Iterator[Row]:
        for table, rows in self.rows.items():
            if table.startswith(f"projects/{project}/") and part in table:
                yield from rows

    async def create_write_stream(self, request: Any, _context: Any) -> Any:
        """Serve `google.cloud.bigquery.storage.v1.BigQueryWrite.CreateWriteStream`."""
        self.made += 1
        name = f"{request.parent}/streams/committed-{self.made}"
        self.committed[name] = 0
        return Stream(name=name, type_=request.write_stream.type_)

    async def append_rows(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Serve `google.cloud.bigquery.storage.v1.BigQueryWrite.AppendRows`."""
        row_class: Any = None
        async for request in requests:
            if request.write_stream.endswith(REPORTS):
                # Reports are no part of the river: they take no fault from the script, and nobody counts them.
                row_class = row_class or _row_class(request.proto_rows.writer_schema.proto_descriptor)
                rows = [_read(row_class, row) for row in request.proto_rows.rows.serialized_rows]
                self.rows[request.write_stream.removesuffix("/streams/_default")] += rows
                yield _response(GOOD)
                continue
            self.streams += row_class is None
            await self.gate.wait()
            if request.proto_rows.HasField("writer_schema"):
                row_class = _row_class(request.proto_rows.writer_schema.proto_descriptor)
            self._check(request, row_class)
            rows = [_read(row_class, row) for row in request.proto_rows.rows.serialized_rows]
            self.requests.append(len(rows))
            table = request.write_stream.split("/streams/")[0]
            if (misplaced := self._misplaced(request)) is not None:
                yield _response(Answer(error=misplaced))
                continue
            answer = self._answer(table)
            if answer is GOOD and self.refuses is not None and any(map(self.refuses, rows)):
                if not self.names_rows:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a row is not valid")
                yield self._row_errors(rows)
                continue
            self._take(request.write_stream, rows, answer)
            if answer.hangs:
                await asyncio.Event().wait()
            if answer.ends:
                return
            if answer.status is not None:
                await context.abort(answer.status, "injected")
            yield _response(answer)

    def _take(self, stream: str, rows: list[Row], answer: Answer) -> None:
        """Do with rows what the answer says."""
        if answer.commits:
            self.rows[stream.split("/streams/", maxsplit=1)[0]] += rows
            if stream in self.committed:
                self.committed[stream] += len(rows)
        if answer.loses_stream:
            self.committed.pop(stream, None)

    def _answer(self, table: str) -> Answer:
        if self.where not in table:
            return GOOD
        return self.script.pop(0) if self.script else self.for_ever or GOOD

    def _misplaced(self, request: Any) -> grpc.StatusCode | None:
        """Return what is wrong with the stream or the offset of a request; None when nothing is."""
        if request.write_stream.endswith("/streams/_default"):
            return None
        if request.write_stream not in self.committed:
            return grpc.StatusCode.NOT_FOUND
        there = self.committed[request.write_stream]
        if request.offset.value == there:
            return None
        return grpc.StatusCode.ALREADY_EXISTS if request.offset.value < there else grpc.StatusCode.OUT_OF_RANGE

    def _check(self, request: Any, row_class: Any) -> None:
        if request.HasField("offset") == request.write_stream.endswith("/streams/_default"):
            self.violations.append(f"write_stream is {request.write_stream!r}, offset {request.offset}")
        if row_class is None:
            self.violations.append("the first request of a stream has no writer_schema")
        if request.ByteSize() > 8_000_000:
            self.violations.append(f"a request of {request.ByteSize()} bytes")

    def _row_errors(self, rows: list[Row]) -> Any:
        response = Response()
        response.error.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
        response.error.message = "errors in rows"
        for index, row in enumerate(rows):
            if self.refuses is not None and self.refuses(row):
                response.row_errors.add(index=index, code=1, message="the row is not valid")
        return response


def _response(answer: Answer) -> Any:
    response = Response()
    if answer.error is None:
        response.append_result.SetInParent()
        return response
    response.error.code = answer.error.value[0]
    response.error.message = "injected"
    if answer.schema_mismatch:
        detail = any_pb2.Any()
        detail.Pack(StorageError(code=types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS))
        response.error.details.append(detail)
    return response


def _row_class(descriptor: Any) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="faulty.proto", package="faulty")
    file.message_type.add().CopyFrom(descriptor)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"faulty.{descriptor.name}"))


def _read(row_class: Any, encoded: bytes) -> Row:
    row = row_class.FromString(encoded)
    return {each.name: value for each, value in row.ListFields()}


@asynccontextmanager
async def serving(faulty: FaultyWrite) -> AsyncIterator[str]:
    """Serve on a free port and yield the address."""
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.aio.server(options=options)
    handler = grpc.stream_stream_rpc_method_handler(
        faulty.append_rows,
        request_deserializer=Request.FromString,
        response_serializer=Response.SerializeToString,
    )
    making = grpc.unary_unary_rpc_method_handler(
        faulty.create_write_stream,
        request_deserializer=types.CreateWriteStreamRequest.pb().FromString,
        response_serializer=Stream.SerializeToString,
    )
    service = "google.cloud.bigquery.storage.v1.BigQueryWrite"
    handlers = {"AppendRows": handler, "CreateWriteStream": making}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
