"""A hundred SIGKILLs, one after another, while messages keep coming: nothing is lost, and little comes twice."""

import random
import signal

from crashing import context, ingest, ingest_ack_first, run_in_child
from faulty_write import FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from ingest.failpoints import BOUNDARIES, Failpoint

CRASHES = 100
MESSAGES = 30
POISON = 5
REACHED = [boundary for boundary in BOUNDARIES if boundary != "after_fetch"]


async def crash_again_and_again(river: River, crashes: int, seed: int) -> int:
    """Publish, crash somewhere, and again; then run until nothing is left. Return how often it was killed."""
    forking = context()
    chance = random.Random(seed)
    killed = 0
    for number in range(crashes):
        first = number * MESSAGES
        river.publish_members(range(first, first + MESSAGES))
        river.publish(topic_of("members"), [{"data": b"{"}] * POISON)
        boundary = REACHED[number % len(REACHED)]
        most = POISON if boundary == "after_dead_letter" else MESSAGES
        code = await run_in_child(forking, ingest, river.settings, Failpoint(boundary, chance.randint(1, most)))
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        # What was not acknowledged is delivered again, at once instead of when the leases run out.
        river.seek_to_beginning()
    assert await run_in_child(forking, ingest, river.settings, Failpoint()) == 0
    return killed


async def test_a_hundred_kills_lose_nothing(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        killed = await crash_again_and_again(river, CRASHES, seed=20261121)
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
    assert killed == CRASHES
    assert set(landed) | set(dead) == river.sent
    assert not set(landed) & set(dead)
    assert len(set(dead)) == CRASHES * POISON


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
