"""The default stream of a table: rows are taken at least once, are visible at once, and there is no state to lose."""

import asyncio
from collections import deque
from typing import Any

import grpc

from core.errors import MillraceError, UnavailableError
from ingest.append.answers import answer_error, stream_error
from ingest.encode.batch import EncodedRows
from ingest.rpc import AppendRowsRequest, BigQueryWrite, routing


class DefaultStream:
    """The connection to a table's default stream; opened when first needed, and again after it broke.

    Requests are pipelined: the next one goes before the last one is answered, and answers come in their order.
    """

    def __init__(self, write: BigQueryWrite, table: str, timeout_s: float) -> None:
        """Prepare to append.

        Args:
            write: the service.
            table: full name, `projects/<project>/datasets/<dataset>/tables/<table>`.
            timeout_s: how long an answer may take before the connection counts as lost, in seconds.
        """
        self._write = write
        self._name = f"{table}/streams/_default"
        self._timeout_s = timeout_s
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: deque[asyncio.Future[None]] = deque()
        self._sending = asyncio.Lock()

    async def append(self, rows: EncodedRows) -> None:
        """Append rows and return once BigQuery has confirmed them.

        Args:
            rows: what fits a request.

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

    async def _send(self, rows: EncodedRows) -> asyncio.Future[None]:
        async with self._sending:
            request = AppendRowsRequest(write_stream=self._name)
            rows.fill(request)
            if self._call is None:
                rows.describe(request)
                request.trace_id = "millrace"
                self._call = self._write.append_rows(metadata=routing("write_stream", self._name))
                self._reader = asyncio.create_task(self._read(self._call))
            answer = asyncio.get_running_loop().create_future()
            self._answers.append(answer)
            try:
                await self._call.write(request)
            except grpc.aio.AioRpcError as error:
                self._break(stream_error(error, self._name))
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
            error = stream_error(failure, self._name)
        if call is self._call:
            self._break(error)

    def _answer(self, response: Any) -> None:
        answer = self._answers.popleft()
        if answer.done():
            return
        if (error := answer_error(response, self._name)) is not None:
            answer.set_exception(error)
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
