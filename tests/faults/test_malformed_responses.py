"""Pub/Sub answers what is no answer: it is told, the stream is opened again, and what it brought comes again."""

import asyncio
from collections.abc import Callable

import pytest
from corrupting_pubsub import CorruptingPubSub, corrupting
from faulty_write import FaultyWrite, OpenRiver
from google.protobuf.message import DecodeError
from ingest_river import River

from ingest.message import Message
from ingest.pubsub import received, transport
from ingest.runner import Run

MESSAGES = 100
SPOILS: list[Callable[[bytes], bytes]] = [
    lambda response: response[:-1],
    lambda _: b"\xff" * 40,
    lambda response: b"\x0a\x05" + response,
]


async def answered_badly(river: River, pubsub: str) -> tuple[Run, CorruptingPubSub]:
    """Run while the first responses are spoilt, until all that was published has landed."""
    async with corrupting(pubsub, iter(SPOILS)) as (address, proxy):
        shaky = River(river.settings.model_copy(update={"pubsub_emulator_host": address}), river.contracts)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            run = shaky.begin(group, until_idle_s=60, outstanding_messages=10)
            while proxy.spoilt < len(SPOILS) or run.progress.tables.total() < MESSAGES:
                # The leases of what was spoilt run out in ten seconds: end them now.
                await asyncio.to_thread(river.seek_to_beginning)
                await asyncio.sleep(0.05)
            run.stop()
    return run, proxy


def faults(run: Run, proxy: CorruptingPubSub) -> list[str]:
    """Return what should have been told of the responses, and was not."""
    found = []
    if run._context.measures.pull_failures["malformed"] != len(SPOILS):
        found.append("not counted")
    if proxy.streams <= len(SPOILS):
        found.append("no stream opened anew")
    return found


async def test_a_response_that_is_none_is_counted_and_what_it_brought_comes_again(
    faulty_river: OpenRiver, pubsub: str
) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(MESSAGES))
        run, proxy = await answered_badly(river, pubsub)
        assert set(faulty.landed_ids(river.settings.project)) == set(sent)
    assert faults(run, proxy) == []


async def test_the_control_that_passes_over_what_it_cannot_read_is_noticed(
    faulty_river: OpenRiver, pubsub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""

    def careless(subscription: str, topic: str, response: bytes) -> list[Message]:
        try:
            return received.messages_of(subscription, topic, response)
        except (DecodeError, ValueError):
            return []

    monkeypatch.setattr(transport, "messages_of", careless)
    async with faulty_river(FaultyWrite()) as river:
        river.publish_members(range(MESSAGES))
        run, proxy = await answered_badly(river, pubsub)
    assert faults(run, proxy) == ["not counted", "no stream opened anew"]
