"""`ingest dead-letters replay` where messages come as files: one run over the letters, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ingest.dead_letters.archive import Archive
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.outcome import Replayed
from ingest.dead_letters.relanding import NAME, LetterLedger, LetterReader, Tally
from ingest.dead_letters.tables import DEAD_LETTER_REPLAYS, REPLAY_TYPE
from ingest.files.named import NamedObjects
from ingest.finite import FiniteTransport
from ingest.resources import table_path
from ingest.runner import run_until_signal
from ingest.stages import Plan
from ingest.startup import Startup
from ingest.transport import Transport
from ingest.transports import Destination, Surroundings, files_transport

_IDLE_S = 0.1


@dataclass
class FileReplay:
    """One call that takes letters of files in again.

    Attributes:
        archive: the letters.
        filters: which are meant; those in the ledger never are.
        replay_id: what to call this in the ledger.
        report: told how many letters were dealt with.
        tally: what became of them.
    """

    archive: Archive
    filters: Filters
    replay_id: str
    report: Callable[[int], None]
    tally: Tally = field(default_factory=Tally)

    async def run(self, startup: Startup) -> Replayed:
        """Land the letters; return when each has landed, or is a dead letter once more.

        Args:
            startup: where, which tables, and how.

        Returns:
            What was done. Called again, also after a signal, it goes on where it stopped.

        Raises:
            ConfigurationError: when a table or the place is missing, or a service refuses the caller.
            UnavailableError: when a service stayed away; what the ledger holds stays done.
        """
        plan = Plan(startup.settings, startup.contracts, opener=self._open, is_replay=True)
        await run_until_signal(plan, startup.tunables, startup.failpoint, _IDLE_S)
        tally = self.tally
        return Replayed(self.replay_id, tally.replayed, tally.unreadable, tally.refused)

    async def _open(self, destinations: Sequence[Destination], around: Surroundings) -> Sequence[Transport]:
        from core.pinned import open_store
        from ingest.files.settings import load_files_settings

        files, settings = load_files_settings(), around.settings
        table = table_path(settings, settings.audit_dataset, DEAD_LETTER_REPLAYS.name)
        writer = around.open_writer(table, REPLAY_TYPE)
        ledger = LetterLedger(writer, self.replay_id, self.tally, self.report, around.context)
        around.dead_letters.observe(ledger.given_up)
        objects = NamedObjects(ledger, around.context)
        deliver = {one.topic: one.deliver for one in destinations}
        reader = LetterReader(
            self.archive, self.filters, files.uri, frozenset(deliver), objects, ledger, self.tally, self.report
        )
        return [
            FiniteTransport(NAME, reader.batches, around.context, around.flow, deliver=deliver, settlements=ledger),
            files_transport(destinations, around, files, open_store(files.uri, settings), objects),
        ]
