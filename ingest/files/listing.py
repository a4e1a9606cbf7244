"""Objects found by listing a place again and again."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from core.clock import to_micros
from core.errors import ConfigurationError, UnavailableError, UnreadableError
from core.pinned import ForbiddenError, MissingError, ObjectRef, ObjectStore
from core.retry import retrying_async
from ingest.context import RunContext
from ingest.files.matching import is_marker_name, is_visible
from ingest.files.objects import FoundObject, Take
from ingest.files.settings import FilesSettings

_log = structlog.get_logger(__name__)

_CHECK_ATTEMPTS = 5
_MICROS = 1_000_000

T = TypeVar("T")

Loaded = Callable[[Sequence[str]], set[tuple[str, str]]]
"""Returns which versions of some objects, told by their URIs, were loaded before; blocks."""


class Listing:
    """A place that is listed: an `ingest.files.objects.ObjectSource`.

    Attributes:
        is_connected: whether the place has answered.
    """

    def __init__(
        self,
        files: FilesSettings,
        store: ObjectStore,
        loaded: Loaded,
        context: RunContext,
        is_wanted: Callable[[str], bool] = is_visible,
    ) -> None:
        """Prepare to list.

        Args:
            files: how often.
            store: the place.
            loaded: tells what earlier runs have loaded.
            context: the run.
            is_wanted: tells by its path whether an object is looked at.
        """
        self.is_connected = False
        self._files = files
        self._store = store
        self._loaded = loaded
        self._context = context
        self._is_wanted = is_wanted
        self._known: dict[str, str] = {}
        self._is_unsettled = False

    @property
    def is_idle(self) -> bool:
        """Whether no file was left for later because it changed just now."""
        return not self._is_unsettled

    async def check(self) -> None:
        """See `ObjectSource.check`."""
        policy = self._context.settings.retry_policy(_CHECK_ATTEMPTS)
        await retrying_async(policy, "look at the files")(self._folders)

    async def find_forever(self, take: Take) -> None:
        """See `ObjectSource.find_forever`."""
        policy = self._context.settings.retry_policy(sys.maxsize)
        while True:
            objects: list[FoundObject] = await retrying_async(policy, "list the files")(self._find)
            for found in objects:
                take(found)
            self.is_connected = True
            wait_s = self._files.list_s
            await asyncio.sleep(min(wait_s, self._files.quiet_s) if self._is_unsettled else wait_s)

    def done(self, found: FoundObject) -> None:
        """See `ObjectSource.done`: while it is listed in this version, it is known."""

    def give_back(self, found: FoundObject) -> None:
        """See `ObjectSource.give_back`: the next listing finds it anew."""
        if self._known.get(found.path) == found.version:
            del self._known[found.path]

    async def drain(self) -> None:
        """See `ObjectSource.drain`: nobody is told."""

    async def _folders(self) -> None:
        await _told(self._store.folders)

    async def _find(self) -> list[FoundObject]:
        """Return the objects that are new since the last listing and were not loaded by an earlier run, in order."""
        listed = [ref for ref in await _told(lambda: self._store.listing("")) if self._is_wanted(ref.path)]
        # What is not there any more need not be known any more.
        paths = {ref.path for ref in listed}
        self._known = {path: version for path, version in self._known.items() if path in paths}
        fresh = [ref for ref in listed if self._known.get(ref.path) != version_of(ref)]
        quiet = [ref for ref in fresh if self._is_quiet(ref)]
        self._is_unsettled = len(quiet) < len(fresh)
        loaded = await asyncio.to_thread(self._loaded, [ref.uri for ref in quiet]) if quiet else set()
        self._known |= {ref.path: version_of(ref) for ref in quiet}
        return [found_object(ref) for ref in quiet if (ref.uri, version_of(ref)) not in loaded]

    def _is_quiet(self, ref: ObjectRef) -> bool:
        """Tell whether an object is whole: those of a store always are, files once nobody writes to them any more."""
        if not ref.uri.startswith("file:"):
            return True
        return to_micros(self._context.clock()) - ref.modified_us >= self._files.quiet_s * _MICROS


async def _told(look: Callable[[], T]) -> T:
    """Look in a thread; tell faults that pass from those that somebody must mend."""
    with asking():
        return await asyncio.to_thread(look)


@contextmanager
def asking() -> Iterator[None]:
    """Tell faults of a place that pass from those that somebody must mend.

    Raises:
        ConfigurationError: when it is not there, or may not be listed.
        UnavailableError: when it does not answer.
    """
    try:
        yield
    except (ForbiddenError, MissingError) as error:
        raise ConfigurationError(f"{error}; MILLRACE_INGEST_FILES_URI names the place") from error
    except UnreadableError as error:
        if error.retryable:
            raise UnavailableError(str(error)) from error
        raise ConfigurationError(f"{error}; MILLRACE_INGEST_FILES_URI names the place") from error


def version_of(ref: ObjectRef) -> str:
    """Return what tells this version of an object from others, as it stands in event ids.

    Args:
        ref: the object.
    """
    etag = ref.etag.strip('"')
    # An ETag of S3 is a digest of the content, and markers are alike: that it was written anew says something.
    return f"{etag}-{ref.modified_us}" if ref.uri.startswith("s3:") and is_marker_name(ref.path) else etag


def found_object(ref: ObjectRef) -> FoundObject:
    """Return an object as a listing finds it.

    Args:
        ref: the object.
    """
    version = version_of(ref)
    attributes = {"eventType": "OBJECT_LISTED", "objectId": ref.path, "objectGeneration": version}
    return FoundObject(ref.uri, ref.path, version, b"", attributes, ref.modified_us)
