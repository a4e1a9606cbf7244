"""What a group commits: never past a message that is not settled, whatever the order of deliveries and answers."""

import asyncio

import pytest
from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from core.retry import RetryPolicy
from ingest.kafka.assignment import Assignment
from ingest.kafka.ledger import PartitionLedger
from ingest.kafka.records import ack_token

PATIENCE = RetryPolicy(5, first_wait_s=1.0, longest_wait_s=4.0)

# Gaps between offsets are usual: compaction and transactions leave them.
offsets = st.lists(st.integers(1, 5), min_size=1, max_size=40).map(
    lambda gaps: [sum(gaps[: place + 1]) for place in range(len(gaps))]
)


@given(offsets, st.data())
def test_the_low_water_mark_is_the_first_offset_not_settled(log: list[int], data: st.DataObject) -> None:
    """Deliver, settle, give back and read again at random; compare with sets."""
    ledger = PartitionLedger("topic", 0, 1)
    settled: set[int] = set()
    in_flight: set[int] = set()
    given_back: set[int] = set()
    place = 0
    for _ in range(data.draw(st.integers(0, 120))):
        action = data.draw(st.sampled_from(["fetch", "settle", "give back", "seek", "commit"]))
        if action == "fetch" and place < len(log):
            offset = log[place]
            place += 1
            delivered = ledger.take(offset)
            known = settled | in_flight
            assert bool(delivered) == (offset not in known)
            if delivered:
                in_flight.add(offset)
                given_back.discard(offset)
        elif action in ("settle", "give back") and in_flight:
            offset = data.draw(st.sampled_from(sorted(in_flight)))
            in_flight.discard(offset)
            if action == "settle":
                ledger.settle(offset)
                settled.add(offset)
            else:
                ledger.give_back(offset)
                given_back.add(offset)
        elif action == "seek" and (target := ledger.to_seek()) is not None:
            assert target in given_back
            ledger.sought(target)
            place = log.index(target)
        elif action == "commit" and ledger.due:
            before = ledger.committed
            ledger.request()
            ledger.confirm()
            assert ledger.committed is not None
            assert before is None or before <= ledger.committed
        open_now = in_flight | given_back
        delivered_once = settled | open_now
        expected = min(open_now) if open_now else (max(delivered_once) + 1 if delivered_once else None)
        assert ledger.low_water == expected
        assert ledger.in_flight == len(in_flight)
        if ledger.committed is not None:
            assert all(offset in settled for offset in log if offset < ledger.committed)


@given(st.integers(1, 50), st.data())
def test_commits_count_every_message_once(messages: int, data: st.DataObject) -> None:
    ledger = PartitionLedger("topic", 0, 1)
    for offset in range(messages):
        assert ledger.take(offset) == 1
    counted = 0
    for offset in data.draw(st.permutations(range(messages))):
        ledger.settle(offset)
        if ledger.due and data.draw(st.booleans()):
            ledger.request()
            counted += ledger.confirm()
    if ledger.due:
        ledger.request()
        counted += ledger.confirm()
    assert counted == messages
    assert ledger.is_committed
    assert not ledger.due


def test_a_message_that_is_gone_when_it_is_read_again_holds_nothing_up() -> None:
    ledger = PartitionLedger("topic", 0, 1)
    for offset in (5, 6, 7):
        ledger.take(offset)
    ledger.settle(7)
    assert ledger.give_back(5) == 1
    assert ledger.give_back(6) == 1
    assert ledger.to_seek() == 5
    ledger.sought(5)
    assert ledger.to_seek() is None
    assert ledger.take(6) == 2, "the second delivery"
    assert ledger.low_water == 6, "5 was compacted away in the meantime"
    ledger.settle(6)
    assert ledger.take(7) == 0
    assert ledger.low_water == 8
    assert ledger.give_back(6) == 0, "it is settled"


def test_answers_to_an_earlier_assignment_change_nothing() -> None:
    assignment = Assignment(PATIENCE)
    partition = [TopicPartition("topic", 3)]
    assignment.add(partition)
    [old] = assignment
    old.take(0)
    assignment.forget([old])
    assignment.add(partition)
    [new] = assignment
    new.take(0)
    assignment.settle([ack_token(old.slot, 0)])
    assert assignment.give_back([ack_token(old.slot, 0)]) == 0
    assert new.in_flight == 1
    assignment.settle([ack_token(new.slot, 0)])
    assert new.in_flight == 0


def test_the_wait_before_reading_again_doubles_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    assignment = Assignment(PATIENCE)
    assignment.add([TopicPartition("topic", 0)])
    [ledger] = assignment
    waits = []
    for _ in range(4):
        ledger.take(0)
        assert assignment.give_back([ack_token(ledger.slot, 0)]) == 1
        waits.append(ledger.retry_at - 100.0)
        ledger.sought(0)
    assert waits == [1.0, 2.0, 4.0, 4.0]


async def test_waiting_ends_with_the_last_answer() -> None:
    assignment = Assignment(PATIENCE)
    assignment.add([TopicPartition("topic", 0)])
    [ledger] = assignment
    ledger.take(0)
    ledger.take(1)
    waiting = asyncio.create_task(assignment.all_answered([ledger]))
    assignment.settle([ack_token(ledger.slot, 1)])
    await asyncio.sleep(0)
    assert not waiting.done()
    assignment.give_back([ack_token(ledger.slot, 0)])
    async with asyncio.timeout(5):
        await waiting
