"""What every fault test is held to besides its own claims: it notices a run that is not bounded."""

import asyncio
from pathlib import Path

import pytest
from bounded_memory import watched_flows
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import NOTIFICATIONS, River
from notified_river import member_api

from ingest.flow import FlowControl

MESSAGES = 100


async def test_a_run_that_lets_nothing_go_is_found_out(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a mutant that never gives back the room of what has landed."""
    monkeypatch.setattr(FlowControl, "give_back", lambda *_: None)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.publish_members(range(MESSAGES))
        with (
            pytest.raises(AssertionError, match=f"{MESSAGES} messages, .* left at the end"),
            watched_flows(monkeypatch),
        ):
            await river.run()
        assert len(faulty.landed_ids(river.settings.project)) == MESSAGES


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"outstanding_messages": MESSAGES}, "messages at once, over"),
        ({"outstanding_bytes": 20_000}, "bytes at once, over"),
    ],
)
async def test_a_run_that_takes_more_than_it_may_is_found_out(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limits: dict[str, int], fault: str
) -> None:
    """The control: a mutant that finds room for everything, while BigQuery does not answer."""
    monkeypatch.setattr(FlowControl, "_fits", lambda *_: True)
    monkeypatch.setattr(FlowControl, "_first_part", lambda _, messages, start: (len(messages) - start, 0))
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        # Pub/Sub keeps to the limits by itself, but for each subscription.
        river.publish_members(range(MESSAGES))
        river.publish(NOTIFICATIONS, [{"data": b"{" + b" " * 400}] * MESSAGES)
        with (
            pytest.raises(AssertionError, match=fault),
            watched_flows(monkeypatch),
            member_api(river, tmp_path, []) as connected,
        ):
            await stalled(connected, faulty, limits)


async def stalled(river: River, faulty: FaultyWrite, limits: dict[str, int]) -> None:
    """Run while BigQuery does not answer, until more was taken than one subscription gives, and then to the end."""
    faulty.gate.clear()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        run = river.begin(group, until_idle_s=0.5, **limits)
        while run.progress.received <= MESSAGES:  # noqa: ASYNC110 - counters have no event to wait for
            await asyncio.sleep(0.005)
        faulty.gate.set()
