"""Rows that are larger than an append may be: their images go to object storage, and a pointer lands in their stead.

The object is written before the row and named after its content, so that an attempt more changes nothing, and a row
never points to what is not there. The pointer stands where the image would:

    {"millrace_oversize":{"uri":"s3://bucket/prefix/rows/members/<sha256>","bytes":9000000,"sha256":"<sha256>"}}

The structure zone knows it by its beginning, and does not take it for an image.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from core.errors import UnavailableError
from core.objects import ObjectStore, content_name, open_objects
from core.retry import retrying_async
from core.settings import Settings
from ingest.append import MAX_ROW_BYTES
from ingest.batches import BatchLimits, MicroBatches
from ingest.context import RunContext
from ingest.dead_letters import DeadLetter, DeadLetters
from ingest.leases import Leases
from ingest.row import Landing, RawRow, encode_rows
from ingest.settings import IngestSettings

_log = structlog.get_logger(__name__)

POINTER: Final = "millrace_oversize"
REASON: Final = "row_too_large"
_CONCURRENCY: Final = 4

Land = Callable[[Landing], None]
"""Appends a row, soon."""


class _Large(msgspec.Struct):
    table: str
    landing: Landing
    land: Land


class Oversize:
    """Takes the rows that no append can carry."""

    def __init__(
        self, store: ObjectStore | None, dead_letters: DeadLetters, leases: Leases, context: RunContext
    ) -> None:
        """Prepare to take rows.

        Args:
            store: where their images go; None dead-letters them.
            dead_letters: takes what cannot be landed even so.
            leases: takes back what could not be stored for now.
            context: the run.
        """
        self._store = store
        self._dead_letters = dead_letters
        self._leases = leases
        self._context = context
        # A batch is one row: its neighbours have gone on without it.
        limits = BatchLimits(items=1, wait_s=1.0, concurrency=_CONCURRENCY)
        self.batches: MicroBatches[_Large] = MicroBatches(self._set_aside, limits, context.fail)

    def add(self, table: str, landing: Landing, size: int, land: Land) -> None:
        """Store a row's images and land it, soon.

        Args:
            table: its table.
            landing: the row with its message.
            size: its size, in bytes.
            land: appends it once it is small enough.
        """
        if self._store is None:
            words = f"the row has {size} bytes, over {MAX_ROW_BYTES}; MILLRACE_INGEST_OVERSIZE_URI lands such rows"
            self._dead_letters.add(DeadLetter(landing.message, REASON, words, table))
        else:
            self.batches.add(_Large(table, landing, land))

    async def _set_aside(self, rows: list[_Large]) -> None:
        for large in rows:
            try:
                row = await self._shrunk(large.table, large.landing.row)
            except UnavailableError as error:
                _log.warning("row given back", event_id=large.landing.message.event_id, error=str(error))
                self._leases.release((large.landing.message,))
                continue
            size = _size(row)
            if size <= MAX_ROW_BYTES:
                large.land(Landing(large.landing.message, row))
            else:
                words = f"the row has {size} bytes without its images, over {MAX_ROW_BYTES}"
                self._dead_letters.add(DeadLetter(large.landing.message, REASON, words, large.table))

    async def _shrunk(self, table: str, row: RawRow) -> RawRow:
        """Return the row with a pointer for its image, and for the one before as well when that does not do."""
        if row.payload is not None:
            row = msgspec.structs.replace(row, payload=await self._stored(table, row.payload))
        if row.before is not None and _size(row) > MAX_ROW_BYTES:
            row = msgspec.structs.replace(row, before=await self._stored(table, row.before))
        return row

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
    [encoded] = encode_rows([row], 0)
    return len(encoded)
