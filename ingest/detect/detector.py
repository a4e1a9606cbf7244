"""Inferring what happened to a row by comparing it with what it was before.

What it was is taken from the rows in flight, then from a cache of rows that have landed, then from the raw table, in
one query for all rows of a batch that are in neither. A row in flight may yet be lost, so a row that repeats one in
flight is an UPDATE; NO_CHANGE is said only of a row that repeats one that has landed. The cache learns from landed
rows only.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import cachetools
import msgspec

from core.contracts import TableContract
from ingest.decode.change import UPSERT
from ingest.detect.state import NO_CHANGE, Known, fingerprint_of, order_of
from ingest.detect.warehouse import LatestRows
from ingest.progress import Progress
from ingest.row import Landing, RawRow
from ingest.settings import IngestSettings

_MARKED_BYTES: Final = 1_000_000
"""Payloads over this size are not repeated in `before`: the mark is not worth that, or a row too large to land."""


_Id = tuple[str, str, bytes | None]


class _Flight(msgspec.Struct, gc=False):
    """The rows of one key that are on their way to the table.

    Attributes:
        rows: how many.
        newest: the state they lead to, when all of them land.
        landed: the newest state among those that have landed.
        has_losses: whether one of them did not land, so that nobody knows what the table holds.
    """

    newest: Known
    rows: int = 0
    landed: Known | None = None
    has_losses: bool = False


class CDCDetector:
    """Infers the operations of one table's rows."""

    def __init__(
        self,
        contract: TableContract,
        warehouse: LatestRows,
        settings: IngestSettings,
        progress: Progress,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin knowing nothing.

        Args:
            contract: the table; with the pattern `event` there is nothing to infer.
            warehouse: knows the rows that are not in memory.
            settings: size and patience of the cache.
            progress: counts operations, anomalies, hits and misses.
            now: a clock in seconds that never goes back.
        """
        self._contract = contract
        self._warehouse = warehouse
        self._progress = progress
        self._cache: cachetools.TTLCache[bytes, Known] = cachetools.TTLCache(
            settings.detect_cache_rows, settings.detect_cache_ttl_s, now
        )
        self._flights: dict[bytes, _Flight] = {}
        # The rows in flight: the key, and the state each leads to unless it came late.
        self._rows: dict[_Id, tuple[bytes, Known | None]] = {}
        self._truncated = ""
        self._one_at_a_time = asyncio.Lock()

    @property
    def rows_in_flight(self) -> int:
        """Rows that were resolved and have neither landed nor been given up."""
        return len(self._rows)

    async def resolve(self, landings: Sequence[Landing]) -> list[Landing]:
        """Give every row its operation.

        Args:
            landings: rows with their positions; `UPSERT` is the operation of those whose messages do not say it. They
                are completed in place. Each must be reported to `landed` or `lost` later.

        Returns:
            All of them, in the order of the source.

        Raises:
            MillraceError: when the raw table cannot be asked.
        """
        if self._contract.pattern == "event":
            return list(landings)
        in_order = sorted(landings, key=lambda landing: order_of(landing.row))
        async with self._one_at_a_time:
            known = await self._known(landing.row for landing in in_order)
            for landing in in_order:
                self._resolve(landing, known)
        return in_order

    def note(self, landings: Sequence[Landing]) -> None:
        """Take note of rows whose operation somebody else has worked out, from the present state of the table.

        Args:
            landings: rows on their way; each must be reported to `landed` or `lost` later.
        """
        for landing in landings:
            row = landing.row
            if row.key is not None:
                state = Known(order_of(row), row.op, fingerprint_of(row.payload))
                self._board(landing, row.key, state, state)

    def landed(self, landings: Sequence[Landing]) -> None:
        """Learn from rows whose append was confirmed.

        Args:
            landings: the rows.
        """
        for landing in landings:
            self._alight(landing, has_landed=True)

    def lost(self, landings: Sequence[Landing]) -> None:
        """Forget what rows would have led to that will not land.

        Args:
            landings: the rows.
        """
        for landing in landings:
            self._alight(landing, has_landed=False)

    async def _known(self, rows: Iterable[RawRow]) -> dict[bytes, Known]:
        """Return the last landed state of the rows that are not in flight."""
        known: dict[bytes, Known] = {}
        missing = []
        for key in {row.key for row in rows if row.key is not None} - self._flights.keys():
            cached = self._cache.get(key)
            if cached is None:
                missing.append(key)
            else:
                known[key] = cached
        self._progress.cache_hits += len(known)
        self._progress.cache_misses += len(missing)
        if missing:
            found = await self._warehouse.latest(self._contract, sorted(missing))
            self._cache.update(found)
            known |= found
        return known

    def _resolve(self, landing: Landing, landed: Mapping[bytes, Known]) -> None:
        row = landing.row
        order, fingerprint = order_of(row), fingerprint_of(row.payload)
        if row.key is None:
            # A truncate: all rows that are older are gone, and the table will say so once it has landed.
            self._truncated = max(self._truncated, order)
            self._cache.clear()
            return
        flight = self._flights.get(row.key)
        known = landed.get(row.key) if flight is None else flight.newest
        if known is not None and known.order < self._truncated:
            known = Known(self._truncated, "DELETE", None)
        verdict = _compare(row.op, order, fingerprint, known, is_sure=flight is None)
        if verdict.anomaly is not None:
            self._progress.anomalies[verdict.anomaly] += 1
        if row.op == UPSERT:
            self._progress.inferred[verdict.op] += 1
            _set_operation(row, verdict.op)
        state = Known(order, verdict.op, fingerprint)
        if verdict.is_newer or known is None:
            self._board(landing, row.key, state, state)
        else:
            self._board(landing, row.key, known, None)

    def _board(self, landing: Landing, key: bytes, newest: Known, leads_to: Known | None) -> None:
        """Put a row in flight.

        Args:
            landing: the row.
            key: its key.
            newest: the newest state of the row now.
            leads_to: the state this very change leads to; None for one that came late.
        """
        identity = _identity(landing)
        flight = self._flights.setdefault(key, _Flight(newest))
        if newest.order > flight.newest.order:
            flight.newest = newest
        if identity in self._rows:
            # It was given back on its way, and has come again.
            flight.has_losses = True
        else:
            flight.rows += 1
        self._rows[identity] = key, leads_to

    def _alight(self, landing: Landing, *, has_landed: bool) -> None:
        boarded = self._rows.pop(_identity(landing), None)
        if boarded is None:
            return
        key, leads_to = boarded
        flight = self._flights[key]
        flight.rows -= 1
        if not has_landed:
            flight.has_losses = True
        elif leads_to is not None and (flight.landed is None or leads_to.order > flight.landed.order):
            flight.landed = leads_to
        if flight.rows:
            return
        del self._flights[key]
        if flight.has_losses:
            self._cache.pop(key, None)
        elif flight.landed is not None:
            self._cache[key] = flight.landed


def _identity(landing: Landing) -> _Id:
    # One message is two rows when it tells of a move to another key: only their keys tell them apart.
    return landing.message.subscription, landing.row.event_id, landing.row.key


class _Verdict(msgspec.Struct, frozen=True, gc=False):
    op: str
    is_newer: bool
    anomaly: str | None = None


def _compare(op: str, order: str, fingerprint: bytes | None, known: Known | None, *, is_sure: bool) -> _Verdict:
    """Say what happened between what is known and what came.

    Args:
        op: what the message says happened; `UPSERT` when it says nothing.
        order: its place among the changes of the row.
        fingerprint: of its content.
        known: the newest state known; None when the row was never there.
        is_sure: whether that state has landed.

    Returns:
        The operation, whether it is the newest state now, and what is odd about it.
    """
    if known is not None and order == known.order and fingerprint == known.fingerprint:
        # The same change once more, redelivered or published twice.
        return _Verdict(known.op if op == UPSERT else op, is_newer=False)
    if known is not None and order <= known.order:
        return _Verdict("UPDATE" if op == UPSERT else op, is_newer=False, anomaly="position_back")
    exists = known is not None and known.fingerprint is not None
    if op != UPSERT:
        return _Verdict(op, is_newer=True, anomaly=_impossible(op, known))
    if not exists:
        return _Verdict("INSERT", is_newer=True)
    is_same = is_sure and known is not None and fingerprint == known.fingerprint
    return _Verdict(NO_CHANGE if is_same else "UPDATE", is_newer=True)


def _impossible(op: str, known: Known | None) -> str | None:
    """Name a stated transition that cannot be, such as the update of a row that is not there."""
    exists = known is not None and known.fingerprint is not None
    if op == "INSERT":
        return "insert_of_existing" if exists else None
    if op in ("UPDATE", "DELETE") and not exists:
        return f"{op.lower()}_of_{'absent' if known is None else 'deleted'}"
    return None


def _set_operation(row: RawRow, op: str) -> None:
    row.op_inferred = True
    if op != NO_CHANGE:
        row.op = op
        return
    # Still an update with a position of its own: an older change that comes late must not win over it.
    row.op = "UPDATE"
    if row.payload is not None and len(row.payload) <= _MARKED_BYTES:
        row.before = row.payload
