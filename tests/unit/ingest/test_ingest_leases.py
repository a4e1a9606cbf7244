"""The ledger of messages in flight, against a model: nothing is acknowledged before it is settled."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.leases import Leases
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings
from ingest.transport import Transport

NAMES = ("projects/p/subscriptions/s", "projects/p/subscriptions/t")
REMEMBERED = 4
TWO_ROWS = "ef"
"""Ids of messages that are two rows each; the first that is settled of them changes nothing."""


class RecordingTransport:
    """Notes what it is told."""

    is_connected = is_idle = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.acked: list[str] = []
        self.nacked: list[str] = []
        self.extended: list[str] = []

    async def check(self) -> None: ...
    async def pull_forever(self) -> None: ...
    async def drain(self) -> None: ...

    def ack(self, ack_ids: object) -> None:
        self.acked += ack_ids  # type: ignore[arg-type]

    def nack(self, ack_ids: object) -> None:
        self.nacked += ack_ids  # type: ignore[arg-type]

    async def extend(self, ack_ids: object) -> None:
        self.extended += ack_ids  # type: ignore[arg-type]


def leases(*transports: Transport) -> tuple[Leases, FlowControl]:
    flow = FlowControl(100, 1_000_000)
    context = RunContext(IngestSettings(remembered_ids=REMEMBERED), Progress("load"), fail=pytest.fail)
    ledger = Leases(flow, context)
    for transport in transports:
        ledger.attach(transport)
    return ledger, flow


def delivery(event_id: str, ack_id: str, name: str = NAMES[0]) -> Message:
    return Message(name, "topic", event_id, b"x" * 10, ack_id=ack_id)


class LedgerMachine(RuleBasedStateMachine):
    """Deliveries, landings and returns in any order, several at once; a dictionary is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.transports = {name: RecordingTransport(name) for name in NAMES}
        self.ledger, self.flow = leases(*self.transports.values())
        self.newest: dict[tuple[str, str], str] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.settled: list[tuple[str, str]] = []
        self.halves: set[tuple[str, str]] = set()
        self.count = 0

    names = st.sampled_from(NAMES)
    ids = st.lists(st.sampled_from("abcdef"), max_size=5)

    @rule(name=names, event_ids=ids)
    def deliver(self, name: str, event_ids: list[str]) -> None:
        delivered = []
        for event_id in event_ids:
            self.count += 1
            delivered.append(delivery(event_id, f"{event_id}{self.count}", name))
        before = len(self.transports[name].acked)
        admitted = self.ledger.admit(list(delivered))
        acked = self.transports[name].acked[before:]
        # Half of what is remembered at most may be forgotten at once.
        recent = self.settled[-(REMEMBERED // 2) :]
        for message in delivered:
            identity = (name, message.event_id)
            if identity in self.newest:
                assert all(message is not one for one in admitted)
                assert message.ack_id not in acked
                self.newest[identity] = message.ack_id
            elif any(message is one for one in admitted):
                assert identity not in recent
                self.newest[identity] = message.ack_id
                self.messages[identity] = message
                if message.event_id in TWO_ROWS:
                    self.halves.add(identity)
                    self.ledger.expect_two([message])
            else:
                assert identity in self.settled
                assert message.ack_id in acked

    @precondition(lambda self: self.newest)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.newest)), min_size=1, unique=True))
        whole = [identity for identity in chosen if identity not in self.halves]
        self.ledger.settle(self.messages[identity] for identity in chosen)
        self.halves.difference_update(chosen)
        for identity in whole:
            del self.messages[identity]
            assert self.newest.pop(identity) in self.transports[identity[0]].acked
            self.settled = [*(one for one in self.settled if one != identity), identity]

    @precondition(lambda self: self.newest)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        identity = data.draw(st.sampled_from(sorted(self.newest)))
        self.ledger.release([self.messages.pop(identity)])
        self.halves.discard(identity)
        assert self.transports[identity[0]].nacked[-1] == self.newest.pop(identity)

    @invariant()
    def counts_what_is_in_flight(self) -> None:
        assert self.ledger.messages == self.flow.messages == len(self.newest)
        assert self.flow.size == sum(message.size for message in self.messages.values())

    @invariant()
    def acknowledges_nothing_in_flight(self) -> None:
        acked = {ack_id for transport in self.transports.values() for ack_id in transport.acked}
        assert not acked & set(self.newest.values())

    @invariant()
    def remembers_no_more_than_it_may(self) -> None:
        ledgers = self.ledger._ledgers.values()
        # What is settled at once is remembered at once, whatever its number.
        assert sum(len(one.landed) + len(one.landed_before) for one in ledgers) <= REMEMBERED + 12


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_message_settled_twice_is_acknowledged_once() -> None:
    transport = RecordingTransport(NAMES[0])
    ledger, _ = leases(transport)
    message = delivery("a", "a1")
    ledger.admit([message])
    ledger.settle([message, message])
    ledger.release([message])
    assert (transport.acked, transport.nacked) == (["a1"], [])


def test_a_row_of_a_former_delivery_says_nothing_about_the_present_one() -> None:
    transport = RecordingTransport(NAMES[0])
    ledger, _ = leases(transport)
    former, present = delivery("a", "a1"), delivery("a", "a2")
    for message in (former, present):
        ledger.admit([message])
        ledger.expect_two([message])
        if message is former:
            ledger.release([former])
    ledger.settle([present, former, former])
    assert transport.acked == []
    ledger.settle([present])
    assert (transport.acked, transport.nacked) == (["a2"], ["a1"])


async def test_only_leases_that_are_old_enough_are_taken_up_anew() -> None:
    transport = RecordingTransport(NAMES[0])
    ledger, _ = leases(transport)
    ledger.admit([delivery("a", "a1")])
    await ledger.extend()
    assert transport.extended == []
    ledger.admit([delivery("b", "b1"), delivery("a", "a2")])
    await ledger.extend()
    assert transport.extended == ["a2"]
    await ledger.extend()
    assert transport.extended == ["a2", "a2", "b1"]


def test_giving_all_back_leaves_nothing() -> None:
    first, second = (RecordingTransport(name) for name in NAMES)
    ledger, flow = leases(first, second)
    ledger.admit([delivery(str(number), f"ack{number}") for number in range(4)])
    ledger.admit([delivery("other", "other", NAMES[1])])
    ledger.release_all()
    assert sorted(first.nacked) == [f"ack{number}" for number in range(4)]
    assert second.nacked == ["other"]
    assert (ledger.messages, flow.messages, flow.size) == (0, 0, 0)
