"""Flow control: what is in flight never exceeds the limits, everybody gets through, in the order of their coming."""

import asyncio
from collections import deque
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingest.flow import FlowControl
from ingest.message import Message

MESSAGES = 5
SIZE = 3_000


def message(number: int, size: int) -> Message:
    return Message("s", "t", str(number), b"x" * size)


@given(
    st.lists(st.lists(st.integers(0, 2_500), min_size=1, max_size=12), min_size=1, max_size=6),
    st.integers(1, MESSAGES),
)
def test_nothing_overshoots_and_everything_gets_through(sources: list[list[int]], settled_at_once: int) -> None:
    flow = FlowControl(MESSAGES, SIZE)
    in_flight: deque[Message] = deque()
    delivered: list[str] = []

    def deliver(messages: Sequence[Message]) -> None:
        size = sum(one.size for one in messages)
        flow.take(len(messages), size)
        in_flight.extend(messages)
        delivered.extend(one.event_id for one in messages)
        assert flow.messages <= MESSAGES
        assert flow.size <= SIZE or len(messages) == flow.messages == 1

    async def settle() -> None:
        while len(delivered) < sum(map(len, sources)) or in_flight:
            for _ in range(min(settled_at_once, len(in_flight))):
                flow.give_back(1, in_flight.popleft().size)
            await asyncio.sleep(0)

    async def scenario() -> None:
        number = iter(range(1_000))
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for sizes in sources:
                group.create_task(flow.deliver([message(next(number), size) for size in sizes], deliver))
            group.create_task(settle())
        assert flow.has_room(MESSAGES, SIZE)

    asyncio.run(scenario())
    # Each source in its order, whatever the others do.
    number = iter(range(1_000))
    for sizes in sources:
        mine = [str(next(number)) for _ in sizes]
        assert [one for one in delivered if one in set(mine)] == mine
    assert flow.peak_messages <= MESSAGES


async def test_who_waits_longest_comes_first_and_nobody_overtakes() -> None:
    flow = FlowControl(2, 1_000)
    flow.take(2, 100)
    order: list[int] = []

    async def wait(number: int, messages: int) -> None:
        async with flow.room(messages):
            order.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait(1, 2))
        group.create_task(wait(2, 1))
        await asyncio.sleep(0)
        flow.give_back(1, 50)
        await asyncio.sleep(0)
        # The second would fit, but the first waits.
        assert (order, flow.has_room()) == ([], False)
        flow.give_back(1, 50)
    assert order == [1, 2]


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    flow = FlowControl(1, 1_000)
    flow.take(1, 1)

    async def wait() -> None:
        async with flow.room():
            await asyncio.Event().wait()

    waiting, granted = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    flow.give_back(1, 1)
    # Cancelled between its turn and its next step: the room it was given is free again.
    granted.cancel()
    await asyncio.wait({granted})
    assert flow.has_room()
