"""From changes to messages, in the order in which a troubled world delivers them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random
from typing import Final

from core.contracts import Contracts, TableContract
from devstack.world.changes import Change, Key, Message
from devstack.world.debezium import (
    DEFAULT_CONNECTOR,
    Connector,
    DebeziumEncoder,
    heartbeat,
    source_table,
    transaction_begin,
    transaction_end,
)
from devstack.world.notifications import notification, set_notification
from devstack.world.poison import (
    EVENT_POISON,
    NOTIFICATION_POISON,
    TOMBSTONE_ATTRIBUTES,
    spoil_event,
    spoil_notification,
)
from devstack.world.shares import Shares

LONG_TEXT_COLUMNS: Final = ("biography", "body")
"""Columns whose long values PostgreSQL keeps out of the row (TOAST)."""

_TOAST_BYTES: Final = 2_000
_LARGEST_KEY: Final = 2**63 - 1
_KNUTH: Final = 2_654_435_761
_LATE_DUPLICATES: Final = 0.1

_Slot = tuple[float, int, Message]


@dataclass
class Delivery:
    """Delivers round after round; what is held back in one round comes in the next.

    Attributes:
        contracts: the tables.
        shares: how much of each difficulty there is.
        rng: the source of randomness, used for nothing else.
        connector: the connector's settings.
    """

    contracts: Contracts
    shares: Shares
    rng: Random
    connector: Connector = DEFAULT_CONNECTOR
    _encoders: dict[str, DebeziumEncoder] = field(init=False, repr=False)
    _collections: dict[str, str] = field(init=False, repr=False)
    _held: list[Message] = field(init=False, repr=False, default_factory=list)
    _notified: dict[tuple[str, Key], Message] = field(init=False, repr=False, default_factory=dict)
    _unknown_rows: int = field(init=False, repr=False, default=0)
    _slots: list[_Slot] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.shares.unavailable:
            holders = {c.name for c in self.contracts.values() if any(x.name in LONG_TEXT_COLUMNS for x in c.columns)}
            tables = self.connector.default_identity | holders
            self.connector = replace(self.connector, default_identity=frozenset(tables))
        self._encoders = {c.name: DebeziumEncoder(c, self.connector) for c in self.contracts.values()}
        sources = {c.name: source_table(c) for c in self.contracts.values()}
        self._collections = {name: f"{source.schema}.{source.table}" for name, source in sources.items()}

    @property
    def held(self) -> int:
        """How many messages wait for a later round."""
        return len(self._held)

    def round(self, changes: Sequence[Change], *, final: bool) -> list[Message]:
        """Deliver a round.

        Args:
            changes: what happened since the last round, in the order of the log.
            final: whether to hold nothing back, so that all that happened is told.

        Returns:
            The messages in the order of delivery.
        """
        overdue, self._held = self._held, []
        self._slots = []
        end = float(max(1, len(changes)))
        for message in overdue:
            self._slots.append((self.rng.random() * end, len(self._slots), message))
        place = 0
        for _, group in groupby(changes, key=lambda change: change.transaction_id):
            place = self._transaction(list(group), place)
        self._add_never_there(end)
        self._add_poison(end)
        self._slots.sort(key=lambda slot: slot[:2])
        messages = [message for _, _, message in self._slots]
        if final:
            messages += self._held
            self._held = []
        self._slots = []
        return self._with_heartbeats(self._with_redelivery(messages))

    def _transaction(self, changes: Sequence[Change], place: int) -> int:
        events = [change for change in changes if not change.by_notification]
        # A snapshot is no transaction of the source.
        is_marked = bool(events) and events[0].sequence > 0 and self._chance(self.shares.transaction_markers)
        if is_marked:
            self._put(place, self._boundary(events[0], transaction_begin(events), "begin"))
        for change in changes:
            if change.by_notification:
                self._notify(change, place)
            else:
                self._tell(change, place)
            place += 1
        if is_marked:
            self._put(place - 1, self._boundary(events[-1], transaction_end(events, self._collections), "end"))
        return place

    def _tell(self, change: Change, place: int) -> None:
        keeps_order = self._keeps_order(change)
        for message in self._event_and_tombstone(change):
            self._send(message, place, keeps_order)

    def _event_and_tombstone(self, change: Change) -> list[Message]:
        encoder = self._encoders[change.table]
        contract = encoder.contract
        unavailable = self._unavailable(change) if self.shares.unavailable else frozenset()
        wrapped = self._chance(self.shares.schema_wrapped)
        event = Message(
            topic=contract.topic,
            data=encoder.value(change, with_schema=wrapped, unavailable=unavailable),
            ordering_key=encoder.key(change.key),
            event_time=change.event_time,
            kind="event",
            table=change.table,
            position=change.position,
            attributes=self._trace(),
        )
        if change.op != "d":
            return [event]
        return [event, replace(event, data=b"", kind="tombstone", attributes=TOMBSTONE_ATTRIBUTES)]

    def _notify(self, change: Change, place: int) -> None:
        contract = self.contracts[change.table]
        row = change.after or change.before
        if contract.api_set_path is not None and row is not None and self._chance(self.shares.notification_sets):
            # Nobody is told which row it was: whoever fetches the set must find that out.
            told = set_notification(contract, row, change.position, change.event_time)
            self._send(told, place, keeps_order=False)
            return
        message = notification(contract, change.key, change.position, change.event_time)
        former = self._notified.get((change.table, change.key))
        self._notified[change.table, change.key] = message
        self._send(message, place, keeps_order=False)
        if self._chance(self.shares.notification_duplicates):
            self._put(place + self._delay(), replace(message, is_duplicate=True))
        if former is not None and self._chance(self.shares.notification_stale):
            self._put(place + self._delay(), replace(former, is_duplicate=True))

    def _send(self, message: Message, place: int, keeps_order: bool) -> None:
        if not keeps_order and self._chance(self.shares.late):
            self._held.append(message)
            return
        is_reordered = not keeps_order and self._chance(self.shares.reordered)
        self._put(place + (self._delay() if is_reordered else 0), message)
        if self._chance(self.shares.duplicates):
            again = replace(message, is_duplicate=True)
            if self._chance(_LATE_DUPLICATES):
                self._held.append(again)
            else:
                self._put(place + self._delay(), again)

    def _add_never_there(self, end: float) -> None:
        sent = sum(1 for _, _, message in self._slots if message.kind == "notification" and not message.is_duplicate)
        tables = [contract for contract in self.contracts.values() if contract.notification_topic]
        latest = max((m for _, _, m in self._slots), key=lambda m: m.position or 0, default=None)
        if latest is None:
            return
        for _ in range(round(sent * self.shares.notification_never_there)):
            contract = self.rng.choice(tables)
            self._unknown_rows += 1
            # Keys no generator reaches; the API never heard of them.
            key: Key = tuple(
                _LARGEST_KEY - self._unknown_rows if column.data_type == "int64" else column.allowed_values[0]
                for column in contract.key
            )
            message = notification(contract, key, latest.position or 0, latest.event_time)
            self._put(self.rng.random() * end, message)

    def _add_poison(self, end: float) -> None:
        if not self.shares.poison:
            return
        events = [m for _, _, m in self._slots if m.kind == "event" and _is_spoilable(m)]
        notes = [m for _, _, m in self._slots if m.kind == "notification" and _has_integer_key(self._contract(m))]
        count = round(len(self._slots) * self.shares.poison)
        for kind in _in_turn(EVENT_POISON if events else (), NOTIFICATION_POISON if notes else (), count):
            if kind in EVENT_POISON:
                sample = self.rng.choice(events)
                message = spoil_event(kind, sample, self._contract(sample))
            else:
                sample = self.rng.choice(notes)
                message = spoil_notification(kind, sample, self._contract(sample))
            self._put(self.rng.random() * end, message)

    def _with_redelivery(self, messages: list[Message]) -> list[Message]:
        """Send runs of past messages again, as a capture does that restarts from its last stored place."""
        for _ in range(self.shares.redelivery_runs if messages else 0):
            end = self.rng.randrange(len(messages)) + 1
            start = max(0, end - self.rng.randint(1, self.shares.redelivery_length))
            run = [m for m in messages[start:end] if m.kind in ("event", "tombstone")]
            messages[end:end] = [replace(message, is_duplicate=True) for message in run]
        return messages

    def _with_heartbeats(self, messages: list[Message]) -> list[Message]:
        every = self.shares.heartbeat_every
        events = [message for message in messages if message.kind == "event"]
        if not every or not events:
            return messages
        beating: list[Message] = []
        for place, message in enumerate(messages, start=1):
            beating.append(message)
            if place % every == 0:
                topic = events[self.rng.randrange(len(events))].topic
                at = message.event_time
                beating.append(Message(topic, heartbeat(at), "", at, "control", detail="heartbeat"))
        return beating

    def _boundary(self, change: Change, data: bytes, detail: str) -> Message:
        topic = self.contracts[change.table].topic
        return Message(topic, data, "", change.event_time, "control", detail=detail)

    def _keeps_order(self, change: Change) -> bool:
        """Tell whether a row's events must come in order, because some hold markers instead of values."""
        if not self.shares.unavailable or change.table not in self.connector.default_identity:
            return False
        number = change.key[0] if change.key and isinstance(change.key[0], int) else 0
        return number * _KNUTH % 2**32 < self.shares.unavailable * 2**32

    def _unavailable(self, change: Change) -> frozenset[str]:
        if change.op != "u" or change.before is None or change.after is None or not self._keeps_order(change):
            return frozenset()
        before, after = change.before, change.after
        return frozenset(
            name
            for name in LONG_TEXT_COLUMNS
            if isinstance(text := after.get(name), str)
            and text == before.get(name)
            and len(text.encode()) >= _TOAST_BYTES
        )

    def _trace(self) -> dict[str, str]:
        if not self._chance(self.shares.traced):
            return {}
        trace, span = self.rng.getrandbits(128) | 1, self.rng.getrandbits(64) | 1
        return {"traceparent": f"00-{trace:032x}-{span:016x}-01"}

    def _contract(self, message: Message) -> TableContract:
        return self.contracts[message.table or ""]

    def _put(self, place: float, message: Message) -> None:
        self._slots.append((place, len(self._slots), message))

    def _delay(self) -> float:
        return 1 + self.rng.random() * (self.shares.disorder_distance - 1)

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability


def _in_turn(first: Sequence[str], second: Sequence[str], count: int) -> list[str]:
    """Return kinds in turn: at least one of each, and at least `count` in all."""
    kinds = (*first, *second)
    return [kinds[place % len(kinds)] for place in range(max(count, len(kinds)))] if kinds else []


def _is_spoilable(message: Message) -> bool:
    return b'"after":{' in message.data and not message.data.startswith(b'{"schema":')


def _has_integer_key(contract: TableContract) -> bool:
    return len(contract.key) == 1 and contract.key[0].data_type == "int64"
