"""A transport that ends: everything is delivered until it is safe, noted once, and only then the transport is idle."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnavailableError
from ingest.context import RunContext
from ingest.finite import Batches, FiniteTransport
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings

TOPICS = ("a", "b")


@dataclass
class Notes:
    """Settlements that are confirmed when somebody asks for it."""

    noted: list[str] = field(default_factory=list)
    is_empty: bool = True

    def settle(self, event_ids: Sequence[str]) -> None:
        self.noted += event_ids
        self.is_empty = False

    async def drain(self) -> None:
        self.is_empty = True


def batches_of(batches: Sequence[Sequence[Message]]) -> Batches:
    async def read() -> AsyncGenerator[Sequence[Message], None]:
        for batch in batches:
            yield batch

    return read


@dataclass
class Stage:
    """Answers deliveries at once; each message is given back as often as it is to be."""

    refusals: dict[str, int]
    flow: FlowControl
    delivered: Counter[str] = field(default_factory=Counter)
    transport: FiniteTransport | None = None

    def deliver(self, messages: Sequence[Message]) -> None:
        assert self.transport is not None
        assert len({message.topic for message in messages}) == 1
        for message in messages:
            assert message.subscription == "past"
            self.flow.take(1, message.size)
            self.flow.give_back(1, message.size)
            self.delivered[message.event_id] += 1
            is_refused = self.delivered[message.event_id] <= self.refusals[message.event_id]
            answer = self.transport.nack if is_refused else self.transport.ack
            answer([message.ack_id])


def opened(read: Batches, refusals: dict[str, int], notes: Notes | None = None) -> tuple[FiniteTransport, Stage]:
    settings = IngestSettings(retry_first_wait_s=0.001, retry_longest_wait_s=0.002)
    flow = FlowControl(3, 10_000)
    stage = Stage(refusals, flow)
    context = RunContext(settings, Progress("load"), fail=lambda _: None)
    deliver = dict.fromkeys(TOPICS, stage.deliver)
    stage.transport = FiniteTransport("past", read, context, flow, deliver=deliver, settlements=notes)
    return stage.transport, stage


def is_idle(transport: FiniteTransport) -> bool:
    """Ask anew: it changes behind the type checker's back."""
    return transport.is_idle


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.lists(st.integers(0, 3), max_size=5)), max_size=5))
def test_everything_comes_until_it_is_safe_and_is_noted_once(plan: list[tuple[str, list[int]]]) -> None:
    """Each number says how often a message is given back before it is taken."""
    batches: list[list[Message]] = []
    refusals: dict[str, int] = {}
    for place, (topic, counts) in enumerate(plan):
        batches.append([Message("", topic, f"{place}-{number}", b"") for number in range(len(counts))])
        refusals |= {f"{place}-{number}": count for number, count in enumerate(counts)}
    notes = Notes()

    async def run() -> Stage:
        transport, stage = opened(batches_of(batches), refusals, notes)
        assert not is_idle(transport)
        pulling = asyncio.create_task(transport.pull_forever())
        async with asyncio.timeout(20):
            while len(notes.noted) < len(refusals):  # noqa: ASYNC110 - the stage tells nobody
                await asyncio.sleep(0.0005)
        await asyncio.sleep(0)
        assert is_idle(transport) == (not refusals)
        await transport.drain()
        assert is_idle(transport)
        pulling.cancel()
        await asyncio.wait({pulling})
        return stage

    stage = asyncio.run(run())
    assert stage.delivered == {event_id: count + 1 for event_id, count in refusals.items()}
    assert sorted(notes.noted) == sorted(refusals)


async def test_who_cannot_be_read_ends_the_run() -> None:
    async def read() -> AsyncGenerator[Sequence[Message], None]:
        yield [Message("", "a", "1", b"")]
        raise UnavailableError("gone")

    transport, stage = opened(read, {"1": 0})
    with pytest.raises(UnavailableError, match="gone"):
        await transport.pull_forever()
    assert not transport.is_idle
    assert stage.delivered == {"1": 1}
