"""Rows that are larger than an append may be: their images go to object storage, and a pointer lands in their stead.

The object is written before the row and named after its content, so that an attempt more changes nothing, and a row
never points to what is not there. The pointer stands where the image would:

    {"millrace_oversize":{"uri":"s3://bucket/prefix/rows/members/<sha256>","bytes":9000000,"sha256":"<sha256>"}}

The structure zone knows it by its beginning, and does not take it for an image.
"""

import asyncio
import hashlib
from typing import Final, Protocol

import msgspec
import structlog

from core.errors import UnavailableError
from core.objects import ObjectStore, content_name, open_objects
from core.retry import retrying_async
from core.settings import Settings
from ingest.append import MAX_ROW_BYTES
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.message import Message
from ingest.row import Landing, RawRow, encode_rows
from ingest.settings import IngestSettings

_log = structlog.get_logger(__name__)

POINTER: Final = "millrace_oversize"
REASON: Final = "row_too_large"
_CONCURRENCY: Final = 4


class Lander(Protocol):
    """Where a row comes from, and goes to once it is small enough."""

    @property
    def table(self) -> str:
        """Name of the table."""

    def add(self, message: Message, row: RawRow) -> None:
        """Append a row, soon."""

    def give_up(self, landing: Landing, reason: str, words: str) -> None:
        """Dead-letter a row's message."""

    def give_back(self, landing: Landing) -> None:
        """Have a row's message delivered again."""


class _Large(msgspec.Struct):
    landing: Landing
    lander: Lander


class Oversize:
    """Takes the rows that no append can carry."""

    def __init__(self, store: ObjectStore | None, context: RunContext) -> None:
        """Prepare to take rows.

        Args:
            store: where their images go; None dead-letters them.
            context: the run.
        """
        self._store = store
        self._context = context
        # A batch is one row: its neighbours have gone on without it.
        limits = BatchLimits(items=1, wait_s=1.0, concurrency=_CONCURRENCY)
        self.batches: MicroBatches[_Large] = MicroBatches(self._set_aside, limits, context.fail)

    def add(self, landing: Landing, size: int, lander: Lander) -> None:
        """Store a row's images and land it, soon.

        Args:
            landing: the row with its message.
            size: its size, in bytes.
            lander: appends it once it is small enough.
        """
        if self._store is None:
            words = f"the row has {size} bytes, over {MAX_ROW_BYTES}; MILLRACE_INGEST_OVERSIZE_URI lands such rows"
            lander.give_up(landing, REASON, words)
        else:
            self.batches.add(_Large(landing, lander))

    async def _set_aside(self, rows: list[_Large]) -> None:
        for large in rows:
            landing, lander = large.landing, large.lander
            try:
                await self._shrink(lander.table, landing.row)
            except UnavailableError as error:
                _log.warning("row given back", event_id=landing.message.event_id, error=str(error))
                lander.give_back(landing)
                continue
            size = _size(landing.row)
            if size <= MAX_ROW_BYTES:
                lander.add(landing.message, landing.row)
            else:
                lander.give_up(landing, REASON, f"the row has {size} bytes without its images, over {MAX_ROW_BYTES}")

    async def _shrink(self, table: str, row: RawRow) -> None:
        """Put a pointer for the row's image, and for the one before as well when that does not do."""
        if row.payload is not None:
            row.payload = await self._stored(table, row.payload)
        if row.before is not None and _size(row) > MAX_ROW_BYTES:
            row.before = await self._stored(table, row.before)

    async def _stored(self, table: str, image: bytes) -> bytes:
        settings = self._context.settings
        retrying = retrying_async(settings.retry_policy(settings.append_attempts), "write of a large row")
        return await retrying(asyncio.to_thread, self._store_image, table, image)

    def _store_image(self, table: str, image: bytes) -> bytes:
        if self._store is None:
            raise ValueError("there is no store")
        return pointer(self._store.put(content_name(f"rows/{table}", image), image), image)


def oversize_store(settings: Settings, tunables: IngestSettings) -> ObjectStore | None:
    """Return where what fits no row is kept.

    Args:
        settings: where the services are.
        tunables: name the place.

    Returns:
        The store; None when no place is named.

    Raises:
        ConfigurationError: when the place's URI cannot be used.
    """
    return None if tunables.oversize_uri is None else open_objects(tunables.oversize_uri, settings)


def pointer(uri: str, image: bytes) -> bytes:
    """Return what stands in a row for an image that lies elsewhere.

    Args:
        uri: where it lies.
        image: the image.

    Returns:
        A JSON object, as the module describes it.
    """
    return msgspec.json.encode(
        {POINTER: {"uri": uri, "bytes": len(image), "sha256": hashlib.sha256(image).hexdigest()}}
    )


def _size(row: RawRow) -> int:
    """Return the bytes of a row in a request, or a little more."""
    [encoded] = encode_rows([row], 0)
    return len(encoded) + _OVERHEAD


_OVERHEAD: Final = 1_024
