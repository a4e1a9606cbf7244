"""Pub/Sub delivers again and again while rows are on their way: memory stays bounded, each row lands once."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from bounded_memory import watched_flows
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from ingest.leases import Leases
from ingest.message import Message
from ingest.progress import Summary

MESSAGES = 200
TIMES = 50


async def storm(river: River, faulty: FaultyWrite) -> Summary:
    """Deliver everything fifty times while BigQuery does not answer, then let it answer."""
    faulty.gate.clear()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        # The stall must not look like a lost connection.
        run = river.begin(group, until_idle_s=0.5, append_concurrency=100)
        for times in range(1, TIMES + 1):
            while run.progress.received < MESSAGES * times:  # noqa: ASYNC110 - counters have no event to wait for
                await asyncio.sleep(0.005)
            await asyncio.to_thread(river.seek_to_beginning)
        assert run.progress.acked == 0
        faulty.gate.set()
    return run.progress.summary()


async def test_deliveries_of_what_is_in_flight_wait_for_its_one_append(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(MESSAGES))
        with watched_flows(monkeypatch) as flows:
            summary = await storm(river, faulty)
        assert [flow.peak_messages for flow in flows] == [MESSAGES]
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert summary.duplicates >= MESSAGES * (TIMES - 1)
    assert summary.landed == MESSAGES
    assert summary.received == summary.landed + summary.duplicates


async def test_the_control_that_forgets_what_is_in_flight_lands_it_again(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    admit = Leases.admit

    def forgetful(self: Leases, messages: Sequence[Message]) -> Sequence[Message]:
        admit(self, messages)
        return messages

    monkeypatch.setattr(Leases, "admit", forgetful)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(MESSAGES))
        await storm(river, faulty)
        landed = Counter(faulty.landed_ids(river.settings.project))
    assert landed.keys() == set(sent)
    assert landed.total() > MESSAGES


async def test_what_landed_is_acknowledged_at_once_when_it_comes_again(faulty_river: OpenRiver) -> None:
    """A lost acknowledgement: the row is there, and Pub/Sub does not know it."""
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.retain_acknowledged(topic_of("members"))
        sent = river.publish_members(range(MESSAGES))
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            run = river.begin(group, until_idle_s=0.5)
            while run.progress.acked < MESSAGES:  # noqa: ASYNC110 - counters have no event to wait for
                await asyncio.sleep(0.005)
            await asyncio.to_thread(river.seek_to_beginning)
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    summary = run.progress.summary()
    assert (summary.landed, summary.duplicates, summary.acked) == (MESSAGES, MESSAGES, 2 * MESSAGES)
