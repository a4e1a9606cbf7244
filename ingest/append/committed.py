"""A committed stream of one's own: with an offset for every request, each row is taken exactly once.

A request whose answer was lost is sent again at its offset, and BigQuery says that the rows are there already. Offsets
count from what is confirmed, so requests that were refused, or that came behind one, move up. See
https://cloud.google.com/bigquery/docs/write-api-streaming#exactly-once.

"Exactly once" ends with the process: rows that were taken, but not yet acknowledged when it died, come again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc
import structlog
from google.cloud.bigquery_storage_v1 import types as storage_types

from core.errors import MillraceError, UnavailableError
from core.retry import RetryPolicy, retrying_async
from ingest.append.answers import (
    AlreadyThereError,
    OffsetError,
    RefusedError,
    StreamLostError,
    answer_error,
    stream_error,
)
from ingest.encode.batch import EncodedRows
from ingest.rpc import AppendRowsRequest, BigQueryWrite, CreateWriteStreamRequest, routing, translate

_COMMITTED: Final = int(storage_types.WriteStream.Type.COMMITTED)
_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Append:
    rows: EncodedRows
    answer: asyncio.Future[None]
    times_sent: int = 0


class CommittedStream:
    """The write stream of this process to a table; a new one takes its place when it is lost."""

    def __init__(self, write: BigQueryWrite, table: str, timeout_s: float, policy: RetryPolicy) -> None:
        """Prepare to append.

        Args:
            write: the service.
            table: full name, `projects/<project>/datasets/<dataset>/tables/<table>`.
            timeout_s: how long an answer may take before the connection counts as lost, in seconds.
            policy: how often to connect in vain before giving up.
        """
        self._write = write
        self._table = table
        self._timeout_s = timeout_s
        self._policy = policy
        self._name: str | None = None
        self._confirmed = 0  # rows; the offset behind them is that of the oldest request in flight
        self._waiting: deque[_Append] = deque()
        self._sent: deque[_Append] = deque()
        self._moving_up: list[_Append] = []
        self._is_careful = False  # one request at a time: a write into a broken connection hides why it broke
        self._has_gap = False  # a request was refused, so those in flight behind it will be
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def append(self, rows: EncodedRows) -> None:
        """Append rows and return once BigQuery has confirmed them.

        Args:
            rows: what fits a request.

        Raises:
            RefusedError: when BigQuery refuses rows; none was taken.
            UnavailableError: when it did not answer, however often it was asked.
            ConfigurationError: when it refuses the table, the schema or the caller.
        """
        one = _Append(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._arrived.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
            self._worker.add_done_callback(self._ended)
        await one.answer

    async def close(self) -> None:
        """Close the connection; whoever still waits for an answer gets an error."""
        if (worker := self._worker) is not None:
            worker.cancel()
            await asyncio.wait({worker})
        self._fail(UnavailableError(f"append to {self._table}: closed"))

    async def _work(self) -> None:
        while True:
            self._arrived.clear()
            if not self._waiting:
                await self._arrived.wait()
            try:
                await retrying_async(self._policy, f"append to {self._table}")(self._converse)
            except MillraceError as error:
                self._fail(error)

    async def _converse(self) -> None:
        """Send and read on one connection; return normally when it was of use before it broke."""
        confirmed, name = self._confirmed, self._name
        try:
            if name is None:
                name = self._name = await self._create()
                confirmed = self._confirmed = 0
            await self._exchange(name)
        except MillraceError as error:
            self._is_careful = True
            if isinstance(error, StreamLostError):
                _log.warning("write stream lost", table=self._table, error=str(error))
                self._name = None
            if not (error.retryable and self._confirmed > confirmed):
                raise
        finally:
            # In their order, so that each has the offset again that it had before.
            self._waiting.extendleft(reversed(self._sent))
            self._sent.clear()
            self._close_gap()

    async def _create(self) -> str:
        request = CreateWriteStreamRequest(parent=self._table, write_stream={"type_": _COMMITTED})
        try:
            stream = await self._write.create_write_stream(
                request, timeout=self._timeout_s, metadata=routing("parent", self._table)
            )
        except grpc.aio.AioRpcError as error:
            raise translate(error, f"write stream of {self._table}") from error
        return str(stream.name)

    async def _exchange(self, name: str) -> None:
        call = self._write.append_rows(metadata=routing("write_stream", name))
        answers = aiter(call)
        reading: asyncio.Task[Any] | None = None
        is_open, is_first = True, True
        try:
            while True:
                while is_open and self._may_send:
                    one = self._next_append()
                    if one is not None:
                        is_open = await self._send(call, name, one, is_first=is_first)
                        is_first = False
                self._arrived.clear()
                reading = reading or asyncio.create_task(_next(answers))
                if await self._next_event(reading):
                    response, reading = await reading, None
                    if response is None:
                        if self._sent:
                            raise UnavailableError(f"append to {name}: the service ended the stream")
                        return
                    self._take(answer_error(response, name, own=True))
        except grpc.aio.AioRpcError as failure:
            self._end(stream_error(failure, name, own=True))
        finally:
            call.cancel()
            if reading is not None:
                reading.cancel()
                await asyncio.wait({reading})
                with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                    reading.result()

    @property
    def _may_send(self) -> bool:
        return bool(self._waiting) and not self._has_gap and not (self._is_careful and self._sent)

    def _next_append(self) -> _Append | None:
        """Return what is to be sent next; None when whoever asked for it has given up before it ever was."""
        one = self._waiting.popleft()
        return one if one.times_sent or not one.answer.done() else None

    async def _send(self, call: Any, name: str, one: _Append, *, is_first: bool) -> bool:
        """Send a request; return whether more can be sent on this connection."""
        request = AppendRowsRequest(write_stream=name)
        request.offset.value = self._confirmed + sum(len(sent.rows) for sent in self._sent)
        one.rows.fill(request)
        if is_first:
            one.rows.describe(request)
            request.trace_id = "millrace"
        one.times_sent += 1
        self._sent.append(one)
        try:
            await call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # Why it ended, the reading side is told better.
            return False
        return True

    async def _next_event(self, reading: asyncio.Task[Any]) -> bool:
        """Wait for an answer or, with nothing left to send, for another request; tell whether it was an answer."""
        arrived = asyncio.create_task(self._arrived.wait())
        try:
            timeout = self._timeout_s if self._sent else None
            done, _ = await asyncio.wait({reading, arrived}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
        if not done:
            raise UnavailableError(f"append to {self._table}: no answer within {self._timeout_s} s")
        return reading in done

    def _take(self, error: MillraceError | None) -> None:
        """Give the oldest request in flight its answer."""
        one = self._sent.popleft()
        if error is None or (isinstance(error, AlreadyThereError) and one.times_sent > 1):
            self._confirmed += len(one.rows)
            self._is_careful = False
            if not one.answer.done():
                one.answer.set_result(None)
        elif isinstance(error, RefusedError):
            if not one.answer.done():
                one.answer.set_exception(error)
            self._has_gap = True
        elif isinstance(error, OffsetError) and self._has_gap:
            self._moving_up.append(one)
        else:
            self._sent.appendleft(one)
            # Offsets that are not what they must be: only a new stream is sure to lose nothing.
            raise StreamLostError(str(error)) if isinstance(error, AlreadyThereError | OffsetError) else error
        if not self._sent:
            self._close_gap()

    def _close_gap(self) -> None:
        """Have what was refused for the gap before it sent again, now that nothing is in flight."""
        self._waiting.extendleft(reversed(self._moving_up))
        self._moving_up.clear()
        self._has_gap = False

    def _end(self, error: MillraceError) -> None:
        """Take a status that ended the connection as the answer to the oldest request in flight, or raise it."""
        if self._sent and isinstance(error, AlreadyThereError | RefusedError | OffsetError):
            self._take(error)
        else:
            raise error

    def _ended(self, worker: asyncio.Task[None]) -> None:
        """Tell everybody who waits when a fault nobody foresaw ended the work."""
        self._worker = None
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        for one in self._waiting:
            if not one.answer.done():
                one.answer.set_exception(error)
                one.answer.exception()
        self._waiting.clear()
        # What was sent last may stand there or not, so its offsets are of no use any more.
        self._name = None


async def _next(answers: AsyncIterator[Any]) -> Any:
    """Return the next answer; None when the service has ended the connection."""
    return await anext(answers, None)
