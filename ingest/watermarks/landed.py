"""What the watermarks are told by the tables' landing."""

from collections.abc import Sequence

from ingest.row import Landing
from ingest.watermarks.tracker import Watermarks


class LandedRows:
    """Tells the watermarks of the rows of one table: an `ingest.landing.LandingObserver`."""

    def __init__(self, table: str, watermarks: Watermarks) -> None:
        """Prepare to tell.

        Args:
            table: name of the table.
            watermarks: are told.
        """
        self._table = table
        self._watermarks = watermarks

    def landed(self, landings: Sequence[Landing]) -> None:
        """See `ingest.landing.LandingObserver`."""
        self._watermarks.landed(self._table, [landing.row for landing in landings])

    def lost(self, landings: Sequence[Landing]) -> None:
        """See `ingest.landing.LandingObserver`; they hold up nothing once their messages are settled."""
