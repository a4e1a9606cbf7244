"""The operational database of the world: its rows, its log and its transactions."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from typing import Final

from core.contracts import Contracts
from devstack.world.changes import Change, Key, Op, Row, SnapshotMarker, Truth, key_of

FIRST_POSITION: Final = 24_023_128
_FIRST_TRANSACTION: Final = 571
_LOG_RECORD_BYTES: Final = (56, 400)


@dataclass
class Transaction:
    """Changes that are made together, in order.

    Attributes:
        database: where they are made.
        at: when they are committed (UTC).
        identity: its number.
        changes: what was made so far.
    """

    database: "Database"
    at: datetime
    identity: int
    changes: list[Change] = field(default_factory=list)
    _by_table: Counter[str] = field(default_factory=Counter, repr=False)

    def insert(self, table: str, row: Row) -> Key:
        """Add a row and return its key.

        Raises:
            KeyError: when the key is taken.
        """
        key = key_of(self.database.contracts[table], row)
        rows = self.database.tables[table]
        if key in rows:
            raise KeyError(f"{table} already has a row with the key {key}")
        rows[key] = row
        self._record(table, "c", key, after=row, position=self.database.next_position())
        return key

    def update(self, table: str, key: Key, values: Row) -> Row:
        """Set some columns of a row that exists, and the time of its update; return the new row."""
        before = self.database.tables[table][key]
        after = {**before, **values, "updated_at": self.at}
        self.database.tables[table][key] = after
        self._record(table, "u", key, before=before, after=after, position=self.database.next_position())
        return after

    def delete(self, table: str, key: Key) -> Row:
        """Remove a row that exists, and return it."""
        before = self.database.tables[table].pop(key)
        self._record(table, "d", key, before=before, position=self.database.next_position())
        return before

    def change_key(self, table: str, key: Key, values: Row) -> Key:
        """Give a row another key, which the log tells as a delete and a create at one position.

        Raises:
            KeyError: when the new key is taken.
        """
        before = self.database.tables[table][key]
        after = {**before, **values, "updated_at": self.at}
        new_key = key_of(self.database.contracts[table], after)
        if new_key in self.database.tables[table]:
            raise KeyError(f"{table} already has a row with the key {new_key}")
        del self.database.tables[table][key]
        self.database.tables[table][new_key] = after
        position = self.database.next_position()
        self._record(table, "d", key, before=before, position=position)
        self._record(table, "c", new_key, after=after, position=position)
        return new_key

    def truncate(self, table: str) -> None:
        """Remove every row of a table."""
        self.database.tables[table].clear()
        self._record(table, "t", (), position=self.database.next_position())

    def _record(
        self, table: str, op: Op, key: Key, *, before: Row | None = None, after: Row | None = None, position: int
    ) -> None:
        self._by_table[table] += 1
        member_id = (after or before or {}).get("member_id")
        self.changes.append(
            Change(
                table=table,
                op=op,
                key=key,
                before=before,
                after=after,
                position=position,
                sequence=len(self.changes) + 1,
                table_sequence=self._by_table[table],
                transaction_id=self.identity,
                event_time=self.at,
                by_notification=member_id in self.database.notified_members,
            )
        )


@dataclass
class Database:
    """The rows that exist, and the place the log has reached.

    Attributes:
        contracts: the tables.
        rng: the source of randomness.
        tables: the rows by table and key.
        position: the last log position given away; it only grows.
        transaction_id: the last transaction's number.
        notified_members: members told of by notification and API only.
    """

    contracts: Contracts
    rng: Random
    tables: dict[str, dict[Key, Row]] = field(init=False)
    position: int = FIRST_POSITION
    transaction_id: int = _FIRST_TRANSACTION
    notified_members: set[object] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tables = {table: {} for table in self.contracts}

    def next_position(self) -> int:
        """Return the next log position."""
        self.position += self.rng.randrange(*_LOG_RECORD_BYTES)
        return self.position

    def begin(self, at: datetime) -> Transaction:
        """Begin a transaction. Its changes show at once, for nobody else is looking.

        Args:
            at: when it will be committed (UTC).

        Returns:
            The transaction, which collects its changes.
        """
        self.transaction_id += 1
        return Transaction(self, at, self.transaction_id)

    def read_snapshot(self, at: datetime) -> list[Change]:
        """Tell of every row as the connector's initial snapshot does.

        Args:
            at: when the snapshot is taken (UTC).

        Returns:
            One read a row, table by table, all at one position of the log.
        """
        position = self.next_position()
        reads: list[Change] = []
        for table, rows in self.tables.items():
            in_table = [self._read(table, key, row, position, at) for key, row in rows.items()]
            reads += _marked(in_table, "first_in_data_collection", "last_in_data_collection")
        return _marked(reads, "first", "last")

    def truth(self) -> Truth:
        """Return the rows that exist now; later changes do not show in the answer."""
        return {table: dict(rows) for table, rows in self.tables.items()}

    def _read(self, table: str, key: Key, row: Row, position: int, at: datetime) -> Change:
        return Change(
            table=table,
            op="r",
            key=key,
            before=None,
            after=row,
            position=position,
            sequence=0,
            table_sequence=0,
            transaction_id=self.transaction_id,
            event_time=at,
            snapshot="true",
            by_notification=row.get("member_id") in self.notified_members,
        )


def _marked(reads: list[Change], first: SnapshotMarker, last: SnapshotMarker) -> list[Change]:
    """Mark the first and the last read, of which only those that travel as events count."""
    marked = list(reads)
    events = [place for place, read in enumerate(reads) if not read.by_notification]
    if events:
        marked[events[0]] = replace(marked[events[0]], snapshot=first)
        marked[events[-1]] = replace(marked[events[-1]], snapshot=last)
    return marked
