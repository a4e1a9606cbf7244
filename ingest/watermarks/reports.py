"""Reports of the watermarks: a row per table and window in `audit.watermarks`."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from core.clock import to_micros
from core.errors import MillraceError
from core.windows import due
from ingest.append import TableWriter
from ingest.context import RunContext
from ingest.watermarks.table import WATERMARK_TYPE
from ingest.watermarks.tracker import TableWatermark, Watermarks

_log = structlog.get_logger(__name__)

_LONGEST_LOOK_S: Final = 5.0
_LAST_REPORT_S: Final = 1.0


@dataclass(frozen=True)
class RunState:
    """What watermarks must know of the stages around them.

    Attributes:
        is_quiet: see `Watermarks.observe`.
        is_in_flight: see `Watermarks.observe`.
        remembered_ids: how many message ids the run remembers.
    """

    is_quiet: Callable[[str], bool]
    is_in_flight: Callable[[str], bool]
    remembered_ids: Callable[[], int]


class WatermarkReports:
    """Looks at the sources every few seconds, and reports once a window and once in the end.

    A report that cannot be written is told in the log and stops nothing: the next one says more.
    """

    def __init__(
        self,
        watermarks: Watermarks,
        writer: TableWriter | None,
        context: RunContext,
        around: RunState,
    ) -> None:
        """Prepare to report.

        Args:
            watermarks: what is reported.
            writer: appends to `audit.watermarks`; None for a run that lands something again, which says nothing about
                how far a table is.
            context: the run.
            around: the stages around.
        """
        self._watermarks = watermarks
        self._writer = writer
        self._context = context
        self._around = around
        self._name = uuid.uuid4().hex

    async def report_forever(self) -> None:
        """Observe and report until cancelled."""
        settings = self._context.settings
        window = timedelta(seconds=settings.watermark_window_s)
        look_s = min(_LONGEST_LOOK_S, settings.watermark_window_s / 2, settings.watermark_idle_s / 4)
        last = self._context.clock()
        while True:
            await asyncio.sleep(look_s)
            self._observe()
            now = self._context.clock()
            if due(last, now, window):
                last = now
                await self._report(now, is_final=False)

    async def finish(self) -> None:
        """Report for the last time, soon or not at all."""
        self._observe()
        try:
            async with asyncio.timeout(_LAST_REPORT_S):
                await self._report(self._context.clock(), is_final=True)
        except TimeoutError:
            _log.warning("the last watermarks could not be written in time")

    def _observe(self) -> None:
        self._watermarks.observe(self._around.is_quiet, self._around.is_in_flight)

    async def _report(self, now: datetime, *, is_final: bool) -> None:
        if self._writer is None:
            return
        try:
            refused = await self._writer.append(self._rows(self._watermarks.snapshot(), now, is_final=is_final))
        except MillraceError as error:
            _log.warning("watermarks not written", error=str(error))
        else:
            for words in refused.values():
                _log.warning("watermarks not written", error=words)

    def _rows(self, told: Sequence[TableWatermark], now: datetime, *, is_final: bool) -> list[bytes]:
        remembered = self._around.remembered_ids()
        return [
            WATERMARK_TYPE.message_class(
                writer=self._name,
                load_id=self._context.progress.load_id,
                table_name=each.table,
                reported_at=to_micros(now),
                watermark=each.watermark,
                newest_event_ts=each.newest_event_ts,
                oldest_unacked_age_ms=each.oldest_unacked_age_ms,
                last_position=each.last_position,
                in_flight=each.in_flight,
                rows_landed=each.rows_landed,
                rows_late=each.rows_late,
                remembered_ids=remembered,
                is_idle=each.is_idle,
                is_final=is_final and each.in_flight == 0,
            ).SerializeToString()
            for each in told
        ]
