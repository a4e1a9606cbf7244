"""Appending rows through the Storage Write API, on the default stream of each table.

The default stream takes rows at least once, has no state to lose and is visible at once; see
https://cloud.google.com/bigquery/docs/write-api. Requests of a stream are pipelined: answers come in their order.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
import structlog
from google.cloud.bigquery_storage_v1 import types as storage_types

from core.errors import ConfigurationError, MillraceError, UnavailableError
from core.retry import RetryPolicy, retrying_async
from ingest.proto import RowType
from ingest.rpc import AppendRowsRequest, BigQueryWrite, routing, status_error, translate
from ingest.settings import MAX_REQUEST_BYTES

_log = structlog.get_logger(__name__)

_STORAGE_ERROR: Final[Any] = storage_types.StorageError.pb()
_SCHEMA_MISMATCH: Final = storage_types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS
_CODES: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}
_REQUEST_OVERHEAD: Final = 16_384
MAX_ROW_BYTES: Final = MAX_REQUEST_BYTES - _REQUEST_OVERHEAD


class RefusedError(MillraceError):
    """BigQuery refuses rows of a request, and has therefore taken none of it.

    Attributes:
        rows: the refused rows' places in the request with BigQuery's words; empty when it did not say which.
    """

    def __init__(self, message: str, rows: Mapping[int, str]) -> None:
        super().__init__(message)
        self.rows = rows


class AppendStream:
    """The connection to a table's default stream; opened when first needed, and again after it broke."""

    def __init__(self, write: BigQueryWrite, table: str, row_type: RowType, timeout_s: float) -> None:
        """Prepare to append.

        Args:
            write: the service.
            table: full name, `projects/<project>/datasets/<dataset>/tables/<table>`.
            row_type: the type of the serialised rows.
            timeout_s: how long an answer may take before the connection counts as lost, in seconds.
        """
        self._write = write
        self._name = f"{table}/streams/_default"
        self._row_type = row_type
        self._timeout_s = timeout_s
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: deque[asyncio.Future[None]] = deque()
        self._sending = asyncio.Lock()

    async def append(self, rows: Sequence[bytes]) -> None:
        """Append rows and return once BigQuery has confirmed them.

        Args:
            rows: serialised rows, of no more than `MAX_ROW_BYTES` together.

        Raises:
            RefusedError: when BigQuery refuses rows; none was taken.
            UnavailableError: when it did not answer; the rows may or may not have been taken.
            ConfigurationError: when it refuses the table, the schema or the caller.
        """
        answer = await self._send(rows)
        try:
            async with asyncio.timeout(self._timeout_s):
                await answer
        except TimeoutError:
            error = UnavailableError(f"append to {self._name}: no answer within {self._timeout_s} s")
            self._break(error)
            raise error from None

    async def close(self) -> None:
        """Close the connection; whoever still waits for an answer gets an error."""
        reader = self._reader
        self._break(UnavailableError(f"append to {self._name}: closed"))
        if reader is not None:
            reader.cancel()
            await asyncio.wait({reader})

    async def _send(self, rows: Sequence[bytes]) -> asyncio.Future[None]:
        async with self._sending:
            request = AppendRowsRequest(write_stream=self._name)
            request.proto_rows.rows.serialized_rows.extend(rows)
            if self._call is None:
                request.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._row_type.descriptor)
                request.trace_id = "millrace"
                self._call = self._write.append_rows(metadata=routing("write_stream", self._name))
                self._reader = asyncio.create_task(self._read(self._call))
            answer = asyncio.get_running_loop().create_future()
            self._answers.append(answer)
            try:
                await self._call.write(request)
            except grpc.aio.AioRpcError as error:
                self._break(_explain(error, self._name))
            except asyncio.InvalidStateError:
                self._break(UnavailableError(f"append to {self._name}: the stream was closed"))
            return answer

    async def _read(self, call: Any) -> None:
        """Give each answer to the request it belongs to, until the stream ends."""
        error: MillraceError
        try:
            async for response in call:
                self._answer(response)
            error = UnavailableError(f"append to {self._name}: the service ended the stream")
        except grpc.aio.AioRpcError as failure:
            error = _explain(failure, self._name)
        if call is self._call:
            self._break(error)

    def _answer(self, response: Any) -> None:
        answer = self._answers.popleft()
        if answer.done():
            return
        if response.row_errors:
            refused = {row.index: row.message for row in response.row_errors}
            answer.set_exception(RefusedError(f"append to {self._name}: {response.error.message}", refused))
        elif response.HasField("error"):
            answer.set_exception(_status(response.error, self._name))
        else:
            answer.set_result(None)

    def _break(self, error: MillraceError) -> None:
        """Forget the connection and tell everybody who waits for it."""
        call, self._call, self._reader = self._call, None, None
        answers, self._answers = self._answers, deque()
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # a caller that gave up must not make it "never retrieved"
        if call is not None:
            call.cancel()


class TableWriter:
    """Appends batches to a table: with retries, within the request limit, around rows that are refused."""

    def __init__(self, stream: AppendStream, policy: RetryPolicy) -> None:
        """Prepare to write.

        Args:
            stream: the table's stream.
            policy: how often to try a batch before giving up.
        """
        self._stream = stream
        self._policy = policy

    async def append(self, rows: Sequence[bytes]) -> dict[int, str]:
        """Append rows; on return every row is either confirmed or refused.

        Args:
            rows: serialised rows, each of at most `MAX_ROW_BYTES`.

        Returns:
            The refused rows' places in `rows`, with BigQuery's words.

        Raises:
            UnavailableError: when BigQuery did not answer, however often it was asked.
            ConfigurationError: when it refuses the table, the schema or the caller.
        """
        refused: dict[int, str] = {}
        for places in _requests(rows):
            refused.update(await self._append(rows, list(places)))
        return refused

    async def close(self) -> None:
        """Close the stream."""
        await self._stream.close()

    async def _append(self, rows: Sequence[bytes], places: list[int]) -> dict[int, str]:
        if not places:
            return {}
        try:
            await retrying_async(self._policy, "append")(self._stream.append, [rows[place] for place in places])
        except RefusedError as error:
            return await self._around(rows, places, error)
        return {}

    async def _around(self, rows: Sequence[bytes], places: list[int], error: RefusedError) -> dict[int, str]:
        """Append what is left without the refused rows; halve the batch when they were not named."""
        refused = {places[index]: words for index, words in error.rows.items() if index < len(places)}
        if refused:
            rest = [place for place in places if place not in refused]
            return refused | await self._append(rows, rest)
        if len(places) == 1:
            return {places[0]: str(error)}
        middle = len(places) // 2
        return await self._append(rows, places[:middle]) | await self._append(rows, places[middle:])


def _requests(rows: Sequence[bytes]) -> Iterator[range]:
    """Cut rows into runs that fit a request each."""
    start = size = 0
    for place, row in enumerate(rows):
        # A repeated field costs a tag and a length of up to four bytes per row.
        if size + len(row) + 8 > MAX_ROW_BYTES and place > start:
            yield range(start, place)
            start, size = place, 0
        size += len(row) + 8
    yield range(start, len(rows))


def _explain(error: grpc.aio.AioRpcError, stream: str) -> MillraceError:
    what = f"append to {stream}"
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return RefusedError(f"{what}: {error.details()}", {})
    return translate(error, what)


def _status(status: Any, stream: str) -> MillraceError:
    """Read a `google.rpc.Status`, with its `StorageError` when it carries one."""
    what = f"append to {stream}"
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    for detail in status.details:
        if detail.type_url.endswith("google.cloud.bigquery.storage.v1.StorageError"):
            storage_error = _STORAGE_ERROR.FromString(detail.value)
            if storage_error.code == _SCHEMA_MISMATCH:
                return ConfigurationError(f"{what}: {status.message}; bring the table's columns up to date")
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return RefusedError(f"{what}: {status.message}", {})
    return status_error(code, status.message, what)
