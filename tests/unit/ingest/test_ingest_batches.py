"""Micro-batches are sent when full, when heavy or when the first item has waited; nothing is lost between."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batches import BatchLimits, MicroBatches


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 7), st.integers(1, 100))
def test_every_item_is_sent_once_in_order_within_the_limits(sizes: list[int], items: int, size: int) -> None:
    sent: list[list[int]] = []

    async def send(batch: list[int]) -> None:
        sent.append(batch)

    async def scenario() -> None:
        batches = MicroBatches(send, BatchLimits(items, 60, size, concurrency=1), pytest.fail)
        for place in range(len(sizes)):
            batches.add(place, sizes[place])
        await batches.drain()
        assert batches.is_empty

    asyncio.run(scenario())
    assert [place for batch in sent for place in batch] == list(range(len(sizes)))
    assert all(len(batch) <= items for batch in sent)
    # A batch goes as soon as it is heavy enough, so only its last item may have crossed the line.
    assert all(sum(sizes[place] for place in batch[:-1]) < size for batch in sent)


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=20), max_size=8),
    st.integers(1, 7),
    st.none() | st.integers(1, 100),
)
def test_what_arrives_together_is_cut_by_the_same_limits(
    arrivals: list[list[int]], items: int, size: int | None
) -> None:
    sent: list[list[int]] = []

    async def send(batch: list[int]) -> None:
        sent.append(batch)

    async def scenario() -> None:
        batches = MicroBatches(send, BatchLimits(items, 60, size, concurrency=1), pytest.fail)
        number = 0
        for sizes in arrivals:
            batches.add_all(list(range(number, number + len(sizes))), sum(sizes))
            number += len(sizes)
        await batches.drain()
        assert batches.is_empty

    asyncio.run(scenario())
    assert [place for batch in sent for place in batch] == list(range(sum(map(len, arrivals))))
    assert all(0 < len(batch) <= items for batch in sent)
    if size is not None:
        # Sizes are known of what arrived together only: a part of it weighs its share.
        weights = [sum(sizes) / len(sizes) for sizes in arrivals for _ in sizes]
        # A share is rounded down with each cut, so that a batch may be late by that much.
        assert all(sum(weights[place] for place in batch[:-1]) < size + len(batch) + 1 for batch in sent)


async def test_the_first_item_does_not_wait_for_company_for_ever() -> None:
    sent = asyncio.Event()

    async def send(batch: list[int]) -> None:
        assert batch == [1]
        sent.set()

    batches = MicroBatches(send, BatchLimits(100, 0.01), pytest.fail)
    batches.add(1)
    assert not batches.is_empty
    async with asyncio.timeout(5):
        await sent.wait()


async def test_no_more_batches_are_sent_at_once_than_allowed() -> None:
    running = most = 0

    async def send(_: list[int]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    batches = MicroBatches(send, BatchLimits(1, 60, concurrency=3), pytest.fail)
    for number in range(50):
        batches.add(number)
    await batches.drain()
    assert most == 3


async def test_what_cannot_be_sent_yet_gathers_into_one_batch() -> None:
    gate = asyncio.Event()
    sent: list[int] = []

    async def send(batch: list[int]) -> None:
        sent.append(len(batch))
        await gate.wait()

    batches = MicroBatches(send, BatchLimits(10, 60, concurrency=2, most_items=50), pytest.fail)
    for _ in range(12):
        batches.add_all(range(10))
    await asyncio.sleep(0)
    # Two are being sent; of what came meanwhile, one batch is as large as any may be, and the rest waits on.
    assert sent == [10, 10]
    gate.set()
    await batches.drain()
    assert sent == [10, 10, 50, 50]


async def test_an_error_is_told_and_the_next_batch_still_goes() -> None:
    errors: list[BaseException] = []

    async def send(batch: list[int]) -> None:
        if batch == [1]:
            raise ValueError("no")

    batches = MicroBatches(send, BatchLimits(1, 60), errors.append)
    batches.add(1)
    batches.add(2)
    await batches.drain()
    assert [str(error) for error in errors] == ["no"]


async def test_cancelling_gives_up_what_waits_and_what_is_being_sent() -> None:
    begun = asyncio.Event()

    async def send(_: list[int]) -> None:
        begun.set()
        await asyncio.Event().wait()

    batches = MicroBatches(send, BatchLimits(2, 60), pytest.fail)
    for number in (1, 2, 3):
        batches.add(number)
    await begun.wait()
    await batches.cancel()
    assert batches.is_empty
