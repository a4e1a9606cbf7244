"""A hundred SIGKILLs, one after another, while messages keep coming: nothing is lost, and little comes twice."""

import random
import signal
from pathlib import Path

from crashing import context, ingest, ingest_ack_first, run_in_child
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import NOTIFICATIONS, River, topic_of
from notified_river import member_api, notification

from devstack.member_api.store import StoredRow
from ingest.failpoints import BOUNDARIES, Failpoint

CRASHES = 100
MESSAGES = 30
POISON = 5
NOTIFIED = 3
MOST = {"after_dead_letter": POISON, "after_fetch": NOTIFIED}


async def crash_again_and_again(river: River, crashes: int, seed: int) -> int:
    """Publish, crash somewhere, and again; then run until nothing is left. Return how often it was killed."""
    forking = context()
    chance = random.Random(seed)
    killed = 0
    for number in range(crashes):
        first = number * MESSAGES
        river.publish_members(range(first, first + MESSAGES))
        river.publish(topic_of("members"), [{"data": b"{"}] * POISON)
        river.publish(NOTIFICATIONS, [notification("members", {"member_id": n}, number) for n in range(NOTIFIED)])
        boundary = BOUNDARIES[number % len(BOUNDARIES)]
        most = MOST.get(boundary, MESSAGES)
        code = await run_in_child(forking, ingest, river.settings, Failpoint(boundary, chance.randint(1, most)))
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        # What was not acknowledged is delivered again, at once instead of when the leases run out.
        river.seek_to_beginning()
        river.seek_to_beginning(NOTIFICATIONS)
    assert await run_in_child(forking, ingest, river.settings, Failpoint()) == 0
    return killed


async def test_a_hundred_kills_lose_nothing(faulty_river: OpenRiver, tmp_path: Path) -> None:
    keys = [f'{{"member_id":{number}}}' for number in range(NOTIFIED)]
    rows = [StoredRow("members", key, CRASHES, key, "2026-01-02T03:04:05Z") for key in keys]
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        with member_api(river, tmp_path, rows) as connected:
            killed = await crash_again_and_again(connected, CRASHES, seed=20261121)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    assert killed == CRASHES
    assert set(landed) | set(dead) == river.sent
    assert not set(landed) & set(dead)
    assert len(set(dead)) == CRASHES * POISON
    assert len(river.sent) == CRASHES * (MESSAGES + POISON + NOTIFIED)


async def test_the_control_one_kill_of_an_ingester_that_acknowledges_first_loses_rows(faulty_river: OpenRiver) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.publish_members(range(MESSAGES))
        forking = context()
        mutant = Failpoint("before_append", MESSAGES)
        assert await run_in_child(forking, ingest_ack_first, river.settings, mutant) == -signal.SIGKILL
        river.seek_to_beginning()
        assert await run_in_child(forking, ingest, river.settings, Failpoint()) == 0
        landed = faulty.landed_ids(river.settings.project)
    assert river.sent - set(landed)
