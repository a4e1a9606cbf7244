"""Reading objects again that were written within a window, beside the ingester that loads the new ones.

The place is listed once; what `audit.loaded_files` says does not matter. Rows land under the ids and with the instants
they had, so the zones know them for the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.pinned import ObjectRef, open_store
from core.settings import Settings
from ingest.files.listing import asking, found_object
from ingest.files.matching import TableMatcher
from ingest.files.named import NamedObjects
from ingest.files.settings import FilesSettings
from ingest.finite import NoSettlements
from ingest.transport import Transport
from ingest.transports import Destination, Surroundings, files_transport


@dataclass(frozen=True)
class PastFiles:
    """Some objects of a place.

    Attributes:
        files: the place.
        refs: the objects.
    """

    files: FilesSettings
    refs: Sequence[ObjectRef]

    async def open(self, destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
        """Return what loads them: an `ingest.transports.Open`.

        Args:
            destinations: where the rows of each table go.
            around: what the transport is opened with.

        Raises:
            ConfigurationError: when no table has files.
        """
        source = NamedObjects(NoSettlements(), around.context)
        for ref in self.refs:
            source.add(found_object(ref))
        store = open_store(self.files.uri, around.settings)
        return [files_transport(destinations, around, self.files, store, source)]


def written_within(
    files: FilesSettings, settings: Settings, matcher: TableMatcher, tables: Sequence[str], window: tuple[int, int]
) -> list[ObjectRef]:
    """Return the objects of some tables that were written within a window, the markers of dumps included. Blocks.

    Args:
        files: the place.
        settings: the credentials.
        matcher: knows every table's objects; what more than one of them claims is nobody's.
        tables: whose objects are meant.
        window: its first instant and the first after it, in microseconds since 1970 UTC.

    Returns:
        The objects, in the order of their names.

    Raises:
        ConfigurationError: when the place is not there or may not be listed.
        UnavailableError: when it does not answer.
    """
    begin, end = window
    store = open_store(files.uri, settings)
    with asking():
        # A place that is not there has no objects, but no folders either, and says so.
        store.folders()
        listed = store.listing("")
    return [ref for ref in listed if begin <= ref.modified_us < end and matcher.claimant(ref.path) in tables]
