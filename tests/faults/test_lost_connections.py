"""Connections that break and services that stall: the run goes on, or gives back what it could not land."""

import asyncio
import time
from collections import Counter

from cutting_proxy import cutting
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import River

MESSAGES = 2_000
CUTS = 5


def publish(river: River) -> list[str]:
    return [one for start in range(0, MESSAGES, 500) for one in river.publish_members(range(start, start + 500))]


async def test_connections_to_pubsub_may_break_at_any_time(faulty_river: OpenRiver, pubsub: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river, cutting(pubsub) as (address, proxy):
        sent = publish(river)
        shaky = River(river.settings.model_copy(update={"pubsub_emulator_host": address}), river.contracts)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            # Small batches and little in flight: there is always a pull, an append and an acknowledgement under way.
            run = shaky.begin(group, until_idle_s=1, batch_rows=20, outstanding_messages=100, ack_wait_ms=1)
            for cut in range(1, CUTS + 1):
                while run.progress.acked < cut * MESSAGES // (CUTS + 1):  # noqa: ASYNC110 - counters have no event
                    await asyncio.sleep(0.001)
                proxy.cut()
        # What was cut off after its delivery comes again when its lease has run out: end it now.
        river.seek_to_beginning()
        await river.run()
        landed = Counter(faulty.landed_ids(river.settings.project))
    assert landed.keys() == set(sent)
    assert proxy.connections > CUTS


async def test_a_broker_that_restarts_is_found_again(faulty_river: OpenRiver, pubsub: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river, cutting(pubsub) as (address, proxy):
        shaky = River(river.settings.model_copy(update={"pubsub_emulator_host": address}), river.contracts)
        before = publish(river)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = shaky.begin(group, until_idle_s=1, batch_rows=20, outstanding_messages=100)
            while run.progress.acked < MESSAGES // 2:  # noqa: ASYNC110 - counters have no event
                await asyncio.sleep(0.001)
            proxy.go_down()
            while proxy.refused < CUTS:  # noqa: ASYNC110 - the proxy has no event to wait for
                await asyncio.sleep(0.001)
            meanwhile = river.publish_members(range(MESSAGES, MESSAGES + 100))
            landed = len(faulty.landed_ids(river.settings.project))
            assert landed < MESSAGES
            proxy.come_back()
        river.seek_to_beginning()
        await river.run()
        assert set(faulty.landed_ids(river.settings.project)) == {*before, *meanwhile}


async def test_connections_to_bigquery_may_break_at_any_time(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    async with (
        faulty_river(faulty) as river,
        cutting(river.settings.bigquery_storage_emulator_host or "") as (
            address,
            proxy,
        ),
    ):
        sent = publish(river)
        shaky = River(river.settings.model_copy(update={"bigquery_storage_emulator_host": address}), river.contracts)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = shaky.begin(group, until_idle_s=0.5, batch_rows=20, outstanding_messages=100)
            for cut in range(1, CUTS + 1):
                while run.progress.acked < cut * MESSAGES // (CUTS + 1):  # noqa: ASYNC110 - counters have no event
                    await asyncio.sleep(0.001)
                proxy.cut()
        landed = Counter(faulty.landed_ids(river.settings.project))
    assert landed.keys() == set(sent)
    summary = run.progress.summary()
    assert (summary.landed, summary.acked) == (MESSAGES, MESSAGES)
    assert proxy.connections > CUTS


async def test_stopping_while_bigquery_stalls_gives_everything_back_in_time(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    faulty.gate.clear()
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(300))
        started = time.monotonic()
        summary = await river.run_until(lambda progress: progress.received == 300, drain_s=0.3)
        assert time.monotonic() - started < 10
        assert (summary.landed, summary.acked, summary.nacked) == (0, 0, 300)
        faulty.gate.set()
        again = await river.run()
        assert set(faulty.landed_ids(river.settings.project)) == set(sent)
    assert again.received == 300


async def test_a_message_in_flight_for_longer_than_its_lease_is_not_delivered_again(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    faulty.gate.clear()
    lease_s = 10  # the shortest that Pub/Sub grants
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(50))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = river.begin(group, until_idle_s=0.5, ack_deadline_s=lease_s)
            await asyncio.sleep(lease_s + 1.5)  # time itself is what is being tested
            faulty.gate.set()
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert (run.progress.received, run.progress.acked) == (50, 50)
