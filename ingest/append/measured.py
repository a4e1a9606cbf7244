"""A stream whose requests are timed and whose failures are counted."""

import time

from core.errors import MillraceError, UnavailableError
from ingest.append.answers import RefusedError
from ingest.append.writer import WriteStream
from ingest.encode.batch import EncodedRows
from ingest.measures import Measures


class MeasuredStream:
    """A table's stream, observed: an `ingest.append.writer.WriteStream`."""

    def __init__(self, stream: WriteStream, table: str, measures: Measures) -> None:
        """Prepare to observe.

        Args:
            stream: does the work.
            table: where it appends, for the label.
            measures: takes what was measured.
        """
        self._stream = stream
        self._table = table
        self._measures = measures

    async def append(self, rows: EncodedRows) -> None:
        """See `WriteStream.append`."""
        began = time.perf_counter()
        try:
            await self._stream.append(rows)
        except RefusedError:
            self._measures.append_failed("refused", is_outage=False)
            raise
        except UnavailableError:
            self._measures.append_failed("unavailable", is_outage=True)
            raise
        except MillraceError:
            self._measures.append_failed("configuration", is_outage=True)
            raise
        self._measures.append_succeeded(self._table, time.perf_counter() - began)

    async def close(self) -> None:
        """See `WriteStream.close`."""
        await self._stream.close()
