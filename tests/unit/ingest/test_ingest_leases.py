"""The ledger of messages in flight, against a model: nothing is acknowledged before it is settled."""

from collections import defaultdict
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ingest.context import RunContext
from ingest.leases import Leases
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings

SUBSCRIPTION = "projects/p/subscriptions/s"
LIMIT = 4
REMEMBERED = 3


class RecordingAcks:
    """Stands where requests would leave for Pub/Sub."""

    def __init__(self) -> None:
        self.acked: list[str] = []
        self.nacked: list[str] = []
        self.extended: list[str] = []

    def ack(self, _subscription: str, ack_id: str) -> None:
        self.acked.append(ack_id)

    def nack(self, _subscription: str, ack_id: str) -> None:
        self.nacked.append(ack_id)

    async def extend(self, _subscription: str, ack_ids: list[str]) -> None:
        self.extended += ack_ids


def leases(acks: RecordingAcks, now: Callable[[], float] = lambda: 0.0) -> Leases:
    tunables = IngestSettings(outstanding_messages=LIMIT, outstanding_bytes=10_000, remembered_ids=REMEMBERED)
    context = RunContext(tunables, Progress("load"), fail=pytest.fail)
    return Leases(acks, context, now)


def delivery(event_id: str, ack_id: str, size: int = 10) -> Message:
    return Message(SUBSCRIPTION, "topic", event_id, b"x" * size, ack_id=ack_id)


class LedgerMachine(RuleBasedStateMachine):
    """Deliveries, landings and returns in any order; a dictionary is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.acks = RecordingAcks()
        self.ledger = leases(self.acks)
        self.newest: dict[str, str] = {}
        self.messages: dict[str, Message] = {}
        self.settled: list[str] = []
        self.deliveries: defaultdict[str, list[str]] = defaultdict(list)
        self.count = 0

    ids = st.sampled_from("abcdef")

    @rule(event_id=ids)
    def deliver(self, event_id: str) -> None:
        self.count += 1
        ack_id = f"{event_id}{self.count}"
        message = delivery(event_id, ack_id)
        remembered = event_id in self.settled[-REMEMBERED:]
        admitted = self.ledger.admit(message)
        assert admitted == (event_id not in self.newest and not remembered)
        if event_id in self.newest or admitted:
            self.newest[event_id] = ack_id
            self.messages.setdefault(event_id, message)
            assert ack_id not in self.acks.acked
        else:
            assert self.acks.acked[-1] == ack_id

    @precondition(lambda self: self.newest)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        event_id = data.draw(st.sampled_from(sorted(self.newest)))
        self.ledger.settle([self.messages.pop(event_id)])
        assert self.acks.acked[-1] == self.newest.pop(event_id)
        if event_id in self.settled:
            self.settled.remove(event_id)
        self.settled.append(event_id)

    @precondition(lambda self: self.newest)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        event_id = data.draw(st.sampled_from(sorted(self.newest)))
        self.ledger.release([self.messages.pop(event_id)])
        assert self.acks.nacked[-1] == self.newest.pop(event_id)

    @invariant()
    def counts_what_is_in_flight(self) -> None:
        assert self.ledger.messages == len(self.newest)
        assert self.ledger.bytes == sum(message.size for message in self.messages.values())
        assert self.ledger._room.is_set() == (len(self.newest) < LIMIT)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_message_settled_twice_is_acknowledged_once() -> None:
    acks = RecordingAcks()
    ledger = leases(acks)
    message = delivery("a", "a1")
    ledger.admit(message)
    ledger.settle([message, message])
    ledger.release([message])
    assert (acks.acked, acks.nacked) == (["a1"], [])


def test_bytes_close_the_door_as_messages_do() -> None:
    ledger = leases(RecordingAcks())
    heavy = delivery("a", "a1", size=10_000)
    ledger.admit(heavy)
    assert not ledger._room.is_set()
    ledger.settle([heavy])
    assert ledger._room.is_set()


async def test_only_leases_that_are_old_enough_are_taken_up_anew() -> None:
    acks, now = RecordingAcks(), [0.0]
    ledger = leases(acks, lambda: now[0])
    ledger.admit(delivery("a", "a1"))
    now[0] = 10.0
    ledger.admit(delivery("b", "b1"))
    await ledger.extend(older_than_s=10)
    assert acks.extended == ["a1"]
    await ledger.extend(older_than_s=10)
    assert acks.extended == ["a1"]


def test_giving_all_back_leaves_nothing() -> None:
    acks = RecordingAcks()
    ledger = leases(acks)
    for number in range(LIMIT):
        ledger.admit(delivery(str(number), f"ack{number}"))
    ledger.release_all()
    assert sorted(acks.nacked) == [f"ack{number}" for number in range(LIMIT)]
    assert (ledger.messages, ledger.bytes, ledger._room.is_set()) == (0, 0, True)
