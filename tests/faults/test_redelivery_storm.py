"""Pub/Sub delivers again and again while rows are on their way: memory stays bounded, each row lands once."""

import asyncio
from collections import Counter

from faulty_write import FaultyWrite, OpenRiver
from ingest_river import topic_of

MESSAGES = 200
TIMES = 20


async def test_deliveries_of_what_is_in_flight_wait_for_its_one_append(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    faulty.gate.clear()
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(MESSAGES))
        storm = 0

        async with asyncio.timeout(30):
            async with asyncio.TaskGroup() as group:
                run = river.begin(group, until_idle_s=0.5)
                while storm < TIMES:
                    if run.progress.received >= MESSAGES * (storm + 1):
                        storm += 1
                        await asyncio.to_thread(river.seek_to_beginning)
                    await asyncio.sleep(0.005)
                assert run.progress.acked == 0
                faulty.gate.set()
        summary = run.progress.summary()
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert summary.duplicates >= MESSAGES * (TIMES - 1)
    assert summary.landed == MESSAGES
    assert summary.received == summary.landed + summary.duplicates


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
