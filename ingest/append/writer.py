"""Appending batches to a table: with retries, within the request limit, around rows that are refused."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from core.retry import RetryPolicy, retrying_async
from ingest.append.answers import RefusedError
from ingest.append.default import DefaultStream
from ingest.encode.batch import EncodedRows, ProtoRows
from ingest.proto import RowType
from ingest.rpc import BigQueryWrite
from ingest.settings import MAX_REQUEST_BYTES

_REQUEST_OVERHEAD = 16_384
MAX_ROW_BYTES = MAX_REQUEST_BYTES - _REQUEST_OVERHEAD


class WriteStream(Protocol):
    """Where rows are appended."""

    async def append(self, rows: EncodedRows) -> None:
        """Append rows and return once BigQuery has confirmed them.

        Args:
            rows: what fits a request.

        Raises:
            RefusedError: when BigQuery refuses rows; none was taken.
            UnavailableError: when it did not answer.
            ConfigurationError: when it refuses the table, the schema or the caller.
        """

    async def close(self) -> None:
        """Close the connection; whoever still waits for an answer gets an error."""


class BatchWriter:
    """Appends batches to a table, whatever their encoding."""

    def __init__(self, stream: WriteStream, policy: RetryPolicy) -> None:
        """Prepare to write.

        Args:
            stream: the table's stream.
            policy: how often to try a batch before giving up.
        """
        self._stream = stream
        self._policy = policy

    async def append(self, rows: EncodedRows) -> dict[int, str]:
        """Append rows; on return every row is either confirmed or refused.

        Args:
            rows: each of at most `MAX_ROW_BYTES`.

        Returns:
            The refused rows' places in `rows`, with BigQuery's words.

        Raises:
            UnavailableError: when BigQuery did not answer, however often it was asked.
            ConfigurationError: when it refuses the table, the schema or the caller.
        """
        if rows.size <= MAX_ROW_BYTES:
            return await self._append(rows, range(len(rows)))
        refused: dict[int, str] = {}
        for places in _requests(rows.row_sizes()):
            refused |= await self._append(rows.take(places), places)
        return refused

    async def close(self) -> None:
        """Close the stream."""
        await self._stream.close()

    async def _append(self, rows: EncodedRows, places: Sequence[int]) -> dict[int, str]:
        """Append rows that fit a request; `places` are theirs in the batch."""
        if not len(rows):
            return {}
        try:
            await retrying_async(self._policy, "append")(self._stream.append, rows)
        except RefusedError as error:
            return await self._around(rows, places, error)
        return {}

    async def _around(self, rows: EncodedRows, places: Sequence[int], error: RefusedError) -> dict[int, str]:
        """Append what is left without the refused rows; halve the batch when they were not named."""
        refused = {index: words for index, words in error.rows.items() if index < len(places)}
        if refused:
            rest = [index for index in range(len(places)) if index not in refused]
            told = {places[index]: words for index, words in refused.items()}
            return told | await self._append(rows.take(rest), [places[index] for index in rest])
        if len(places) == 1:
            return {places[0]: str(error)}
        middle, end = len(places) // 2, len(places)
        return await self._append(rows.take(range(middle)), places[:middle]) | await self._append(
            rows.take(range(middle, end)), places[middle:]
        )


class AppendStream:
    """The default stream of a table whose rows come serialised, all of one type."""

    def __init__(self, write: BigQueryWrite, table: str, row_type: RowType, timeout_s: float) -> None:
        """Prepare to append.

        Args:
            write: the service.
            table: full name, `projects/<project>/datasets/<dataset>/tables/<table>`.
            row_type: the type of the rows.
            timeout_s: how long an answer may take before the connection counts as lost, in seconds.
        """
        self.row_type = row_type
        self._stream = DefaultStream(write, table, timeout_s)

    async def append(self, rows: EncodedRows) -> None:
        """See `WriteStream.append`."""
        await self._stream.append(rows)

    async def close(self) -> None:
        """See `WriteStream.close`."""
        await self._stream.close()


class TableWriter:
    """Appends serialised rows to a table: for tables that get few rows, such as those of the audit."""

    def __init__(self, stream: AppendStream, policy: RetryPolicy) -> None:
        """Prepare to write.

        Args:
            stream: the table's stream.
            policy: how often to try a batch before giving up.
        """
        self._writer = BatchWriter(stream, policy)
        self._row_type = stream.row_type

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
        return await self._writer.append(ProtoRows(rows, self._row_type))

    async def close(self) -> None:
        """Close the stream."""
        await self._writer.close()


def _requests(sizes: Sequence[int]) -> Iterator[range]:
    """Cut rows into runs that fit a request each."""
    start = size = 0
    for place, weight in enumerate(sizes):
        if size + weight > MAX_ROW_BYTES and place > start:
            yield range(start, place)
            start, size = place, 0
        size += weight
    yield range(start, len(sizes))
