"""All members: who they are, what is under way, and how their rows are written."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from devstack.world.changes import Key, Row
from devstack.world.database import Database, Transaction
from devstack.world.edges import EdgeColumns
from devstack.world.pools import Country
from devstack.world.rows.undeclared import undeclared_value
from devstack.world.sampler import Sampler
from devstack.world.shares import Shares

_FIRST_KEYS: Final = {"member_interactions": 2**53 + 1}
"""Keys begin at 1; those of interactions where a double no longer tells neighbours apart."""

_RESTORABLE: Final = 500


@dataclass(eq=False)
class Member:
    """What the generator remembers of a member besides the rows.

    Attributes:
        member_id: the member's key.
        country: where the member lives.
        rows: keys of the member's rows by table.
        earned: all points ever earned, less refunds.
        balance: points left.
        tier: the tier held, with the key of its row; None before the first points.
    """

    member_id: int
    country: Country
    rows: dict[str, list[Key]] = field(default_factory=dict)
    earned: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    tier: tuple[str, Key] | None = None

    def keys(self, table: str) -> list[Key]:
        """Return the keys of the member's rows of a table; the list is the live one."""
        return self.rows.setdefault(table, [])


@dataclass
class Society:
    """All members, the database that knows them, and what is under way.

    Attributes:
        database: the operational database.
        sampler: the source of randomness.
        shares: how much of each difficulty there is.
        members: members that are not erased.
        pending: purchases not settled yet, with their members.
        removed: rows deleted lately that may be put back under the same key.
    """

    database: Database
    sampler: Sampler
    shares: Shares
    members: list[Member] = field(default_factory=list)
    pending: deque[tuple[Member, Key]] = field(default_factory=deque)
    removed: deque[tuple[Member, str, Row]] = field(default_factory=lambda: deque(maxlen=_RESTORABLE))
    _edges: dict[str, EdgeColumns] = field(init=False)
    _last_keys: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        contracts = self.database.contracts
        self._edges = {name: EdgeColumns(contract) for name, contract in contracts.items()}
        self._last_keys = {name: _FIRST_KEYS.get(name, 1) - 1 for name in contracts}

    def next_key(self, table: str) -> int:
        """Return the next surrogate key of a table."""
        self._last_keys[table] += 1
        return self._last_keys[table]

    def add(self, tx: Transaction, member: Member, table: str, row: Row) -> Key:
        """Insert a row of a member, now and then with a value at the edge."""
        seasoned = self._edges[table].season(self._complete(table, row, tx.at), self.sampler, self.shares)
        key = tx.insert(table, seasoned)
        member.keys(table).append(key)
        return key

    def _complete(self, table: str, row: Row, at: datetime) -> Row:
        """Give a row every column of its contract and no other, also those its factory knows nothing of."""
        columns = self.database.contracts[table].columns
        if len(row) == len(columns) and all(column.name in row for column in columns):
            return row
        return {
            column.name: row[column.name] if column.name in row else undeclared_value(self.sampler, column, at)
            for column in columns
        }

    def set(self, tx: Transaction, table: str, key: Key, values: Row) -> None:
        """Update a row, now and then with a value at the edge."""
        changed = self._complete(table, {**self.database.tables[table][key], **values}, tx.at)
        seasoned = self._edges[table].season(changed, self.sampler, self.shares)
        tx.update(table, key, seasoned)

    def any_row(self, member: Member, table: str) -> tuple[Key, Row] | None:
        """Return one of the member's rows of a table, or None."""
        keys = member.keys(table)
        if not keys:
            return None
        key = self.sampler.pick(keys)
        return key, self.database.tables[table][key]
