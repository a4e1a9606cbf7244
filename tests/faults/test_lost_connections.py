"""Connections that break and services that stall: the run goes on, or gives back what it could not land."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from cutting_proxy import cutting
from faulty_write import Answer, FaultyWrite, OpenRiver
from ingest_river import River

from core.errors import UnavailableError
from core.retry import RetryPolicy
from ingest import stages
from ingest.append import DefaultStream
from ingest.encode.batch import EncodedRows
from ingest.leases import Leases
from ingest.pubsub import transport

MESSAGES = 2_000
CUTS = 5
REFUSALS = 2


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
            while proxy.refused < REFUSALS:  # noqa: ASYNC110 - the proxy has no event to wait for
                await asyncio.sleep(0.001)
            meanwhile = river.publish_members(range(MESSAGES, MESSAGES + 100))
            landed = len(faulty.landed_ids(river.settings.project))
            assert landed < MESSAGES
            proxy.come_back()
        # What nobody had leased when the broker went the very same run has fetched.
        assert set(meanwhile) <= set(faulty.landed_ids(river.settings.project))
        # What was on its way comes again when its lease has run out: end it now.
        river.seek_to_beginning()
        await river.run()
        assert set(faulty.landed_ids(river.settings.project)) == {*before, *meanwhile}


async def test_the_control_that_does_not_connect_again_never_sees_what_came_meanwhile(
    faulty_river: OpenRiver, pubsub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""

    def once(_policy: RetryPolicy, _what: str) -> Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]:
        return lambda attempt: attempt()

    monkeypatch.setattr(transport, "retrying_async", once)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river, cutting(pubsub) as (address, proxy):
        shaky = River(river.settings.model_copy(update={"pubsub_emulator_host": address}), river.contracts)
        river.publish_members(range(100))
        meanwhile: list[str] = []

        async def lose_the_broker() -> None:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                run = shaky.begin(group, until_idle_s=60)
                while run.progress.acked < 100:  # noqa: ASYNC110 - counters have no event
                    await asyncio.sleep(0.001)
                proxy.go_down()
                meanwhile.extend(river.publish_members(range(100, 200)))

        with pytest.raises(ExceptionGroup) as ended:
            await lose_the_broker()
        assert ended.group_contains(UnavailableError)
        assert set(meanwhile).isdisjoint(faulty.landed_ids(river.settings.project))


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


class Hopeful(DefaultStream):
    """The mutant: takes what it has sent for landed, whatever becomes of the connection."""

    async def append(self, rows: EncodedRows) -> None:
        with suppress(UnavailableError):
            await super().append(rows)


async def test_the_control_that_does_not_send_again_loses_what_was_under_way(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    monkeypatch.setattr(stages, "DefaultStream", Hopeful)
    faulty = FaultyWrite(for_ever=Answer(hangs=True))
    async with (
        faulty_river(faulty) as river,
        cutting(river.settings.bigquery_storage_emulator_host or "") as (address, proxy),
    ):
        sent = river.publish_members(range(20))
        shaky = River(river.settings.model_copy(update={"bigquery_storage_emulator_host": address}), river.contracts)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = shaky.begin(group, until_idle_s=0.3)
            while sum(faulty.requests) < 20:  # noqa: ASYNC110 - the server has no event to wait for
                await asyncio.sleep(0.001)
            proxy.cut()
        assert run.progress.acked == 20
        assert set(sent).isdisjoint(faulty.landed_ids(river.settings.project))


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


class Forgetful(Leases):
    """The mutant: extends no lease."""

    async def extend(self) -> None:
        pass


async def test_a_message_in_flight_for_longer_than_its_lease_is_not_delivered_again(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control runs at the same time: a lease is ten seconds at least."""
    faulty, unextended = FaultyWrite(), FaultyWrite()
    faulty.gate.clear()
    unextended.gate.clear()
    lease_s = 10  # the shortest that Pub/Sub grants
    async with faulty_river(faulty) as river, faulty_river(unextended) as other:
        sent, also_sent = river.publish_members(range(50)), other.publish_members(range(50))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            run = river.begin(group, until_idle_s=0.5, ack_deadline_s=lease_s)
            while run.progress.received < 50:  # noqa: ASYNC110 - counters have no event
                await asyncio.sleep(0.005)
            monkeypatch.setattr(stages, "Leases", Forgetful)
            control = other.begin(group, until_idle_s=0.5, ack_deadline_s=lease_s)
            # Until the control's leases have run out, which began after those of the run; that is the test.
            while control.progress.received < 100:  # noqa: ASYNC110 - counters have no event
                await asyncio.sleep(0.05)
            faulty.gate.set()
            unextended.gate.set()
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
        assert set(unextended.landed_ids(other.settings.project)) == set(also_sent)
    assert (run.progress.received, run.progress.acked) == (50, 50)
    assert control.progress.received >= 100
