"""SIGKILL at every boundary between two stages: in the end what was sent is landed or dead-lettered, all of it."""

import signal
from collections.abc import Callable

import pytest
from crashing import context, ingest, ingest_ack_first, run_in_child
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from ingest.failpoints import BOUNDARIES, Failpoint

MESSAGES = 400
POISON = 10
CRASH_AFTER = dict.fromkeys(BOUNDARIES, 150) | {"after_dead_letter": 5}


def publish(river: River) -> None:
    river.publish_members(range(MESSAGES // 2))
    river.publish(topic_of("members"), [{"data": b"{"}] * POISON)
    river.publish_members(range(MESSAGES // 2, MESSAGES))


async def crash_and_restart(river: River, boundary: str, victim: Callable[..., None]) -> None:
    """Kill a run at a boundary, end the leases it held, and run again until nothing is left."""
    publish(river)
    forking = context()
    killed = await run_in_child(forking, victim, river.settings, Failpoint(boundary, CRASH_AFTER[boundary]))
    assert killed == -signal.SIGKILL
    # What was not acknowledged is delivered again, at once instead of when the leases run out.
    river.seek_to_beginning()
    assert await run_in_child(forking, ingest, river.settings, Failpoint()) == 0


@pytest.mark.parametrize("boundary", [each for each in BOUNDARIES if each != "after_fetch"])
async def test_a_kill_at_any_boundary_loses_nothing(faulty_river: OpenRiver, boundary: str) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        await crash_and_restart(river, boundary, ingest)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    assert set(landed) | set(dead) == river.sent
    assert not set(landed) & set(dead)
    assert len(set(dead)) == POISON
    # At least once, and no more than that: only what was in flight at the crash may stand there twice.
    assert len(landed) <= 2 * MESSAGES


async def test_the_control_acknowledging_first_does_lose_rows(faulty_river: OpenRiver) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        await crash_and_restart(river, "before_append", ingest_ack_first)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    lost = river.sent - set(landed) - set(dead)
    assert lost
