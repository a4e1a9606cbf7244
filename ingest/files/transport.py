"""Files as a transport: every row of every object a message, and an object is over when all its rows are.

Objects of one table are read one after the other, so that rows are delivered in their order. What is read is never more
than flow control lets in. An object that was not over when the run ended is read again by the next; its rows have the
same event ids then.

The rows of a full dump say to which they belong. What declares the dump complete becomes the message that ends it, once
all of its objects are loaded; that waits beside the objects, which may be found later than it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import structlog

from core.contracts import Contracts
from core.errors import ConfigurationError, DecodeError, UnavailableError, UnreadableError
from core.pinned import ForbiddenError, MissingError, ObjectRef, ObjectStore, ReplacedError, UnreachableError
from ingest.append import TableWriter
from ingest.context import RunContext
from ingest.detect.dumps import DUMP_MARKER, DUMP_ROWS
from ingest.detect.positions import DUMP_ID
from ingest.files.dumps import DumpFiles
from ingest.files.listing import version_of
from ingest.files.matching import FileDump, TableMatcher
from ingest.files.objects import NAME, FoundObject, ObjectLedger, ObjectSource, Refuse, State
from ingest.files.read import RowBatch, read_rows
from ingest.files.records import LoadRecords
from ingest.files.settings import FilesSettings
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.transport import Deliver

_log = structlog.get_logger(__name__)


class FilesTransport:
    """The objects of a place: an `ingest.transport.Transport`.

    Attributes:
        name: `files`.
    """

    name = NAME

    def __init__(
        self,
        files: FilesSettings,
        contracts: Contracts,
        context: RunContext,
        flow: FlowControl,
        *,
        source: ObjectSource,
        store: ObjectStore,
        deliver: Mapping[str, Deliver],
        refuse: Refuse,
        records: TableWriter,
        dumps: DumpFiles,
    ) -> None:
        """Prepare to load; must be called in the event loop.

        Args:
            files: how much at once.
            contracts: the tables being landed.
            context: the run.
            flow: makes reading wait while too much is in flight.
            source: finds objects.
            store: reads them.
            deliver: what takes the rows of each table.
            refuse: dead-letters an object.
            records: appends to `audit.loaded_files`.
            dumps: knows when full dumps are complete.

        Raises:
            ConfigurationError: when no table has files.
        """
        self._contracts = contracts
        self._context = context
        self._flow = flow
        self._source = source
        self._store = store
        self._deliver_to = deliver
        self._refuse = refuse
        self._records = LoadRecords(records, self._note_recorded, context)
        self._matcher = TableMatcher(contracts)
        self._queues: dict[str, asyncio.Queue[ObjectLedger]] = {name: asyncio.Queue() for name in self._matcher.tables}
        self._dumps = dumps
        self._markers: dict[str, asyncio.Queue[tuple[ObjectLedger, FileDump]]] = {
            name: asyncio.Queue() for name in self._matcher.tables if contracts[name].pattern == "full_dump"
        }
        self._slots = asyncio.Semaphore(files.concurrency)
        self._numbers = count(1)
        self._ledgers: dict[int, ObjectLedger] = {}

    @property
    def is_connected(self) -> bool:
        """Whether objects could be found when last looked at."""
        return self._source.is_connected

    @property
    def is_idle(self) -> bool:
        """Whether no object is open and every answer has reached the source."""
        return not self._ledgers and self._records.is_empty and self._source.is_idle

    async def check(self) -> None:
        """See `Transport.check`."""
        await self._source.check()

    async def pull_forever(self) -> None:
        """See `Transport.pull_forever`."""
        try:
            loading = [*map(self._load_forever, self._matcher.tables), *map(self._end_dumps_forever, self._markers)]
            await _together([self._source.find_forever(self._take), *loading])
        finally:
            for ledger in [one for one in self._ledgers.values() if one.state is None]:
                self._give_back(ledger)

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.ack`."""
        for ledger in self._answered(ack_ids):
            self._end_if_over(ledger)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.nack`: rows cannot come again alone, so their object does, with the same event ids."""
        self._context.progress.nacked += len(ack_ids)
        for ledger in self._answered(ack_ids):
            ledger.is_given_back = True
            self._end_if_over(ledger)

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.extend`: it is objects that are leased, and their source sees to that."""

    async def drain(self) -> None:
        """See `Transport.drain`."""
        await self._records.drain()
        await self._source.drain()

    def _take(self, found: FoundObject) -> None:
        """Take an object in: it waits for its turn, or is refused at once."""
        ledger = ObjectLedger(found, next(self._numbers), None)
        self._ledgers[ledger.slot] = ledger
        try:
            if found.fault is not None:
                raise found.fault
            dump = self._matcher.marker_of(found.path)
            ledger.table = dump.table if dump else self._matcher.table_of(found.path)
        except DecodeError as error:
            self._end_unreadable(ledger, error)
        else:
            if dump is not None:
                self._markers[ledger.table].put_nowait((ledger, dump))
            else:
                self._queues[ledger.table].put_nowait(ledger)

    async def _load_forever(self, table: str) -> None:
        queue = self._queues[table]
        while True:
            ledger = await queue.get()
            async with self._slots:
                await self._load(ledger, partial(self._read, ledger))

    async def _end_dumps_forever(self, table: str) -> None:
        queue = self._markers[table]
        while True:
            ledger, dump = await queue.get()
            await self._load(ledger, partial(self._end_dump, ledger, dump))

    async def _load(self, ledger: ObjectLedger, read: Callable[[ObjectRef], Awaitable[None]]) -> None:
        found = ledger.found
        try:
            ref = ledger.ref = await asyncio.to_thread(self._store.look_up, found.path)
            if version_of(ref) != found.version:
                self._end(ledger, "superseded")
                return
            await read(ref)
        except (UnavailableError, UnreachableError) as error:
            _log.warning("object put off", uri=found.uri, error=str(error))
            self._give_back(ledger)
        except ForbiddenError as error:
            raise ConfigurationError(str(error)) from error
        except UnreadableError as error:
            self._end_unreadable(ledger, DecodeError(_reason(error), f"{error} (after {ledger.rows} rows)"))
        except DecodeError as error:
            self._end_unreadable(ledger, error)
        else:
            self._end(ledger, "loaded")

    async def _read(self, ledger: ObjectLedger, ref: ObjectRef) -> None:
        deliver = self._deliver_to[ledger.table or ""]
        attributes = {"uri": ref.uri, **ledger.found.attributes}
        if (dump := self._matcher.dump_of(ledger.table or "", ref.path)) is not None:
            attributes[DUMP_ID] = dump.id
        batches = read_rows(self._store, ref)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            messages = self._messages(ledger, ref, batch, attributes)
            # Answers may come while the rows are being delivered.
            ledger.unanswered += len(messages)
            await self._flow.deliver(messages, deliver)
            ledger.rows += len(messages)

    async def _end_dump(self, ledger: ObjectLedger, dump: FileDump, ref: ObjectRef) -> None:
        """Deliver the end of a dump, once all of its objects are loaded."""
        try:
            rows = await self._dumps.rows(
                dump, ref, lambda path: self._matcher.is_of(dump.table, path), lambda: self._progress(dump.table)
            )
        except DecodeError:
            self._context.progress.dumps["incomplete"] += 1
            raise
        if rows is None:
            self._context.progress.control += 1
            return
        end = {DUMP_ID: dump.id, DUMP_MARKER: "end", DUMP_ROWS: str(rows)}
        attributes = {"uri": ref.uri, **ledger.found.attributes, **end}
        topic, token = self._contracts[dump.table].topic, ledger.token(0)
        ledger.unanswered += 1
        message = Message(NAME, topic, ledger.found.id, b"", attributes, "", ref.modified_us, token)
        await self._flow.deliver([message], self._deliver_to[dump.table])

    def _progress(self, table: str) -> tuple[int, int]:
        """Return what changes for as long as objects of a table are loaded."""
        opened = [ledger for ledger in self._ledgers.values() if ledger.table == table]
        return len(opened), sum(ledger.rows - ledger.unanswered for ledger in opened)

    def _messages(
        self, ledger: ObjectLedger, ref: ObjectRef, batch: RowBatch, attributes: Mapping[str, str]
    ) -> list[Message]:
        topic = self._contracts[ledger.table or ""].topic
        prefix = ledger.found.id
        return [
            Message(NAME, topic, f"{prefix}:{row}", text, attributes, "", ref.modified_us, ledger.token(row))
            for row, text in batch
        ]

    def _end(self, ledger: ObjectLedger, state: State) -> None:
        """Note that an object was read to its end; it is over once its rows are."""
        if state == "superseded":
            self._context.progress.control += 1
        _log.info("object read", uri=ledger.found.uri, state=state, rows=ledger.rows)
        ledger.state = state
        self._end_if_over(ledger)

    def _end_unreadable(self, ledger: ObjectLedger, error: DecodeError) -> None:
        """Dead-letter an object; rows of it that could be read stay landed."""
        found = ledger.found
        ledger.state, ledger.error = "unreadable", str(error)
        ledger.unanswered += 1
        topic = self._contracts[ledger.table].topic if ledger.table else NAME
        message = Message(NAME, topic, found.id, found.data, found.attributes, "", found.found_us, ledger.token(0))
        self._refuse(message, error, ledger.table)

    def _answered(self, ack_ids: Iterable[str]) -> list[ObjectLedger]:
        """Count answers, and return the objects they were for; answers to an earlier attempt count for none."""
        touched: dict[int, ObjectLedger] = {}
        for token in ack_ids:
            slot = int(token.partition(":")[0])
            ledger = self._ledgers.get(slot)
            if ledger is not None:
                ledger.unanswered -= 1
                touched[slot] = ledger
        return list(touched.values())

    def _end_if_over(self, ledger: ObjectLedger) -> None:
        if not ledger.is_over:
            return
        if ledger.is_given_back:
            self._give_back(ledger)
        else:
            self._records.add(ledger)

    def _note_recorded(self, ledger: ObjectLedger) -> None:
        self._ledgers.pop(ledger.slot, None)
        self._source.done(ledger.found)

    def _give_back(self, ledger: ObjectLedger) -> None:
        self._ledgers.pop(ledger.slot, None)
        self._source.give_back(ledger.found)


def _reason(error: UnreadableError) -> str:
    if isinstance(error, MissingError):
        return "object_missing"
    return "object_replaced" if isinstance(error, ReplacedError) else "unreadable_object"


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run until the first of some works fails, and raise its error; cancelled, they are all cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
