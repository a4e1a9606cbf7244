"""The world: members who live, a database that logs it, and the messages that tell of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from core.contracts import Contracts
from core.errors import ConfigurationError
from devstack.world import life
from devstack.world.changes import Change, Message, Truth
from devstack.world.database import Database, Transaction
from devstack.world.debezium import DEFAULT_CONNECTOR, Connector
from devstack.world.deliver import Delivery
from devstack.world.ledger import Ledger
from devstack.world.pools import make_pools
from devstack.world.sampler import Sampler
from devstack.world.shares import Shares
from devstack.world.society import Member, Society

BEGINNING: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
"""When the capture begins, unless told otherwise: no wall clock, so that a seed says it all."""

TABLES: Final = (
    "members",
    "member_profiles",
    "member_emails",
    "member_phones",
    "member_addresses",
    "member_identities",
    "member_consents",
    "member_preferences",
    "member_tiers",
    "member_points",
    "member_transactions",
    "member_interactions",
    "member_cases",
)
"""The tables this world is about."""

_HISTORY_DAYS: Final = 1_100
_MOST_PAST_ACTIONS: Final = 3
_SNAPSHOT_SHARE_OF_EVENTS: Final = 0.5
_JOINS: Final = 0.14
_ERASURES: Final = 0.001_5
_CLOSED_ACT: Final = 0.1
_CHANGES_A_TRANSACTION: Final = 1.9


class World:
    """Members over time. The same arguments and the same calls give the same bytes, in every process.

    Attributes:
        contracts: the tables.
        shares: how much of each difficulty there is.
        now: the world's time (UTC).
        ledger: what was delivered so far.
    """

    def __init__(
        self,
        seed: int,
        members: int,
        contracts: Contracts,
        *,
        shares: Shares | None = None,
        beginning: datetime = BEGINNING,
        connector: Connector = DEFAULT_CONNECTOR,
    ) -> None:
        """Make a world in which nothing has happened yet.

        Args:
            seed: what all randomness comes from.
            members: how many members ever join; at least one.
            contracts: the tables; it must hold those in `TABLES`, and others are left alone.
            shares: how much of each difficulty there is.
            beginning: when the capture begins (UTC).
            connector: the settings of the connector that tells of the changes.

        Raises:
            ConfigurationError: when there is no member, or a contract is missing.
        """
        if members < 1:
            raise ConfigurationError(f"a world of {members} members has nothing to tell; use at least 1")
        missing = [table for table in TABLES if table not in contracts]
        if missing:
            raise ConfigurationError(f"the world needs a contract for {', '.join(missing)}")
        self.contracts: Final = Contracts({table: contracts[table] for table in TABLES})
        self.shares: Final = shares or Shares()
        self.now = beginning
        self.ledger = Ledger()
        self._most_members: Final = members
        self._joined = 0
        # One stream of randomness for what happens, one for how it is told: other shares of disorder
        # leave the history as it is.
        self._rng: Final = Random(f"{seed} history")
        sampler = Sampler(self._rng, make_pools(seed), self.contracts, self.shares.long_texts)
        self._database: Final = Database(self.contracts, self._rng)
        self._society: Final = Society(self._database, sampler, self.shares)
        self._delivery: Final = Delivery(self.contracts, self.shares, Random(f"{seed} delivery"), connector)
        self._undelivered: list[Change] = []
        self._notified: list[Change] = []
        self._is_founded = False

    @property
    def held(self) -> int:
        """How many messages were held back by the last `deliver` and come with the next."""
        return self._delivery.held

    def evolve(
        self, events: int, *, span: timedelta = timedelta(minutes=10), truncate: Sequence[str] = ()
    ) -> tuple[Change, ...]:
        """Let a round of life pass.

        Args:
            events: how many changes happen; the last transaction may add a few. The first round begins with
                the snapshot of the members there are, which takes up to half of them.
            span: how much time passes.
            truncate: tables emptied halfway through the round.

        Returns:
            What happened, in the order of the log.

        Raises:
            ConfigurationError: when a table to truncate is not one of the world's.
        """
        unknown = [table for table in truncate if table not in self.contracts]
        if unknown:
            raise ConfigurationError(f"cannot truncate {', '.join(unknown)}: not a table of this world")
        end = self.now + span
        changes = [] if self._is_founded else self._found(int(events * _SNAPSHOT_SHARE_OF_EVENTS))
        self._is_founded = True
        to_truncate = list(truncate)
        while len(changes) < events:
            if to_truncate and 2 * len(changes) >= events:
                changes += self._truncate(to_truncate.pop())
            left = max(1.0, (events - len(changes)) / _CHANGES_A_TRANSACTION)
            self.now += (end - self.now) / left * self._rng.random()
            changes += self._live()
        for table in to_truncate:
            changes += self._truncate(table)
        self.now = end
        self._undelivered += changes
        self._notified += [change for change in changes if change.by_notification or change.op == "t"]
        return tuple(changes)

    def deliver(self, *, final: bool = False) -> tuple[Message, ...]:
        """Turn all that happened since the last call into messages, and enter them in the ledger.

        Args:
            final: whether to hold nothing back; do so before comparing anything with `truth()`.

        Returns:
            The messages in the order of delivery.
        """
        changes, self._undelivered = self._undelivered, []
        messages = self._delivery.round(changes, final=final)
        self.ledger = self.ledger.plus(messages)
        return tuple(messages)

    def truth(self) -> Truth:
        """Return the rows that exist now, whoever is told of them and however; it never changes afterwards."""
        return self._database.truth()

    def notified_changes(self) -> tuple[Change, ...]:
        """Return every change so far that the API must know: those told by notification, and all truncates."""
        return tuple(self._notified)

    def _found(self, most_rows: int) -> list[Change]:
        wanted = max(1, round(self._most_members * self.shares.snapshot_members)) if self.shares.snapshot_members else 0
        rows = 0
        moments = sorted(self._society.sampler.before(self.now, _HISTORY_DAYS) for _ in range(wanted))
        for joined_at in moments:
            if rows >= most_rows:
                break
            tx = self._database.begin(joined_at)
            member = self._join(tx)
            rows += len(tx.changes)
            for _ in range(self._rng.randrange(_MOST_PAST_ACTIONS)):
                days = (self.now - joined_at).days
                tx = self._database.begin(self._society.sampler.before(self.now, days))
                self._action()(self._society, tx, member)
                rows += sum(1 for change in tx.changes if change.op == "c")
        return self._database.read_snapshot(self.now)

    def _live(self) -> list[Change]:
        society = self._society
        tx = self._database.begin(self.now)
        may_join = self._joined < self._most_members
        if not society.members or (may_join and self._rng.random() < _JOINS):
            self._join(tx)
        else:
            self._act(tx)
        return tx.changes

    def _act(self, tx: Transaction) -> None:
        society = self._society
        # Some members are far more active than others.
        member = society.sampler.pick_early(society.members)
        # Somebody always stays.
        if len(society.members) > 1 and self._rng.random() < _ERASURES:
            life.erase(society, tx, member)
            return
        is_closed = self._database.tables["members"][(member.member_id,)]["status"] == "closed"
        if not is_closed or self._rng.random() < _CLOSED_ACT:
            self._action()(society, tx, member)

    def _action(self) -> life.Action:
        return self._rng.choice(_ACTIONS)

    def _join(self, tx: Transaction) -> Member:
        self._joined += 1
        by_notification = self._rng.random() < self.shares.api_members
        return life.join(self._society, tx, tx.at, by_notification)

    def _truncate(self, table: str) -> list[Change]:
        tx = self._database.begin(self.now)
        life.truncate(self._society, tx, table)
        return tx.changes


_ACTIONS: Final = tuple(action for action, often in life.DAILY_LIFE for _ in range(often))
