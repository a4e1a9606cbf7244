"""One subscription's rules by example: what a reader would look up first."""

import tracemalloc

import pytest

from devstack.pubsub.model import SECOND, Consumer, DeadLetterPolicy, Message, RetryPolicy, Settings
from devstack.pubsub.retry import backoff
from devstack.pubsub.subscription import MAX_BATCH, MAX_BATCH_BYTES, Subscription

NOW = 1_000_000 * SECOND


def subscription(*keys: str, **settings: object) -> Subscription:
    """A subscription with one message per key, numbered from 1."""
    made = Subscription(Settings("projects/p/subscriptions/sub", **settings), lease_prefix="7-")  # type: ignore[arg-type]
    made.offer([Message(index, NOW, key, b"x") for index, key in enumerate(keys, start=1)], 0, NOW)
    return made


def take(from_: Subscription, now: int = NOW, consumer: Consumer | None = None, limit: int = 10) -> dict[int, str]:
    """Takes messages, and returns their acknowledgement ids by number."""
    entries = from_.take(consumer or Consumer(), now, limit=limit)
    return {entry.message.sequence: entry.ack_id for entry in entries}


def test_a_leased_message_is_nobody_elses_until_its_lease_ends() -> None:
    mine = subscription("")
    assert [*take(mine)] == [1]
    assert take(mine, NOW + 10 * SECOND - 1) == {}
    assert [*take(mine, NOW + 10 * SECOND)] == [1]


def test_acknowledged_messages_are_dropped() -> None:
    mine = subscription("", "")
    mine.acknowledge(take(mine).values(), NOW)
    assert mine.unacked() == []
    assert mine.retained(NOW) == []
    assert mine.stats().acked == 2


def test_an_extension_holds_the_lease() -> None:
    mine = subscription("")
    mine.modify_deadline(take(mine).values(), 60 * SECOND, NOW)
    assert take(mine, NOW + 59 * SECOND) == {}
    assert [*take(mine, NOW + 60 * SECOND)] == [1]


def test_a_refused_message_comes_back_at_once_behind_the_others() -> None:
    mine = subscription("", "")
    mine.modify_deadline(take(mine, limit=1).values(), 0, NOW)
    assert [*take(mine)] == [2, 1]


def test_a_late_acknowledgement_counts_until_the_redelivery() -> None:
    late, too_late = subscription(""), subscription("")
    stale = take(late)
    assert late.acknowledge(stale.values(), NOW + 11 * SECOND).invalid == ()
    assert take(late, NOW + 11 * SECOND) == {}
    stale = take(too_late)
    take(too_late, NOW + 11 * SECOND)
    too_late.acknowledge(stale.values(), NOW + 12 * SECOND)
    assert [*take(too_late, NOW + 30 * SECOND)] == [1]


def test_exactly_once_refuses_the_same() -> None:
    mine = subscription("", exactly_once=True)
    stale = take(mine)
    assert mine.acknowledge(stale.values(), NOW + 11 * SECOND).invalid == (stale[1],)
    assert mine.modify_deadline(stale.values(), SECOND, NOW + 11 * SECOND).invalid == (stale[1],)
    assert [*take(mine, NOW + 11 * SECOND)] == [1]


@pytest.mark.parametrize("forged", ["nonsense", "8-1", "7-x", "7-", "7-٣"])
def test_forged_ids_are_told_from_stale_ones(forged: str) -> None:
    mine = subscription("")
    mine.acknowledge(take(mine).values(), NOW)
    assert mine.acknowledge([forged, "7-1"], NOW).invalid == (forged,)
    assert mine.modify_deadline([forged, "7-1"], SECOND, NOW).invalid == (forged,)


def test_a_key_follows_its_stream_and_waits_for_nobody_elses_sake() -> None:
    mine = subscription("a", "a", "b", ordered=True)
    one, two = Consumer(holder="one"), Consumer(holder="two")
    first = take(mine, consumer=one, limit=1)
    assert [*take(mine, consumer=two)] == [3]
    assert [*take(mine, consumer=one)] == [2]
    mine.acknowledge(first.values(), NOW)


def test_pulling_gets_a_run_in_order_and_the_rest_of_the_key_after_its_acknowledgement() -> None:
    mine = subscription("a", "a", "a", ordered=True)
    run = take(mine, limit=2)
    assert [*run] == [1, 2]
    assert take(mine) == {}
    mine.acknowledge([run[2]], NOW)
    assert take(mine) == {}
    mine.acknowledge([run[1]], NOW)
    assert [*take(mine)] == [3]


def test_a_redelivery_repeats_all_that_follows_even_what_was_acknowledged() -> None:
    mine = subscription("a", "a", "a", ordered=True)
    run = take(mine)
    mine.acknowledge([run[1], run[3]], NOW)
    mine.modify_deadline([run[2]], 0, NOW)
    assert [*take(mine)] == [2, 3]


def test_exactly_once_acknowledges_a_key_in_order() -> None:
    mine = subscription("a", "a", ordered=True, exactly_once=True)
    run = take(mine)
    assert mine.acknowledge([run[2]], NOW).unordered == (run[2],)
    verdict = mine.acknowledge([run[2], run[1]], NOW)
    assert verdict.unordered == verdict.invalid == ()


def test_keys_do_not_matter_without_ordering() -> None:
    mine = subscription("a", "a")
    assert [*take(mine, limit=1)] == [1]
    assert [*take(mine, limit=1)] == [2]


def test_a_backoff_holds_a_message_back_and_with_it_its_key() -> None:
    retry = RetryPolicy(5 * SECOND, 8 * SECOND)
    mine = subscription("a", "a", "", ordered=True, retry=retry)
    run = take(mine)
    mine.modify_deadline([run[1]], 0, NOW)
    assert take(mine, NOW + 5 * SECOND - 1) == {}
    assert mine.next_event() == NOW + 5 * SECOND
    again = take(mine, NOW + 5 * SECOND)
    assert [*again] == [1, 2]
    mine.modify_deadline([again[1]], 0, NOW + 5 * SECOND)
    assert take(mine, NOW + 13 * SECOND - 1) == {}, "the second pause is 8 s, the maximum"
    assert [*take(mine, NOW + 13 * SECOND)] == [1, 2]


def test_backoff_doubles_up_to_the_maximum() -> None:
    policy = RetryPolicy(10 * SECOND, 600 * SECOND)
    pauses = [backoff(policy, failures) // SECOND for failures in (1, 2, 3, 6, 7, 10_000)]
    assert pauses == [10, 20, 40, 320, 600, 600]
    assert backoff(None, 3) == 0


def test_attempts_are_counted_and_end_in_the_dead_letters() -> None:
    mine = subscription("", dead_letter=DeadLetterPolicy("projects/p/topics/dead", 5))
    for attempt in range(5):
        (entry,) = mine.take(Consumer(), NOW)
        assert entry.failures == attempt
        mine.modify_deadline([entry.ack_id], 0, NOW)
    assert take(mine) == {}
    assert [entry.message.sequence for entry in mine.undeliverable] == [1]
    assert mine.stats().dead_lettered == 1
    assert mine.stats().backlog == 0


def test_flow_control_counts_messages_and_bytes() -> None:
    mine = subscription(*[""] * 9)
    few = Consumer(max_messages=2)
    leased = take(mine, consumer=few)
    assert len(leased) == 2
    assert take(mine, consumer=few) == {}
    mine.acknowledge([leased[1]], NOW)
    assert len(take(mine, consumer=few)) == 1
    assert len(take(mine, consumer=Consumer(max_bytes=3))) == 3


def test_a_message_larger_than_the_byte_limit_still_goes_out_alone() -> None:
    mine = subscription()
    mine.offer([Message(number, NOW, "", b"x" * 100) for number in (1, 2)], 0, NOW)
    assert [*take(mine, consumer=Consumer(max_bytes=10))] == [1]


def test_a_batch_stays_within_what_clients_accept() -> None:
    mine = subscription()
    mine.offer([Message(number, NOW, "", b"x" * (MAX_BATCH_BYTES // 2)) for number in range(4)], 0, NOW)
    mine.offer([Message(number, NOW, "", b"") for number in range(4, 3000)], 0, NOW)
    assert len(take(mine, limit=5000)) == 2
    assert len(take(mine, limit=5000)) == 2
    assert len(take(mine, limit=5000)) == MAX_BATCH


def test_retention_ends() -> None:
    day = 24 * 3600 * SECOND
    mine = subscription("", "", retention=day, retain_acked=True)
    mine.acknowledge([take(mine)[1]], NOW)
    assert len(mine.retained(NOW + day)) == 1
    assert mine.retained(NOW + day + 1) == []
    mine.offer([], 0, NOW + day + 20 * SECOND)
    assert take(mine, NOW + day + 20 * SECOND) == {2: "7-3"}, "it was leased when its retention ended"
    untouched = subscription("", retention=day)
    untouched.offer([], 0, NOW + day + 1)
    assert untouched.stats().backlog == untouched.stats().backlog_bytes == 0


def test_a_rewind_ends_leases_and_brings_back_what_was_retained() -> None:
    mine = subscription("", "", "", retain_acked=True)
    stream = Consumer(holder="s", max_messages=3)
    leased = take(mine, consumer=stream)
    mine.acknowledge([leased[1], leased[2]], NOW)
    mine.rewind([Message(9, NOW, "", b"elsewhere")], lambda message: message.sequence != 2, NOW)
    assert stream.outstanding_messages == 0
    assert [message.sequence for message in mine.retained(NOW)] == [2]
    assert [*take(mine)] == [1, 3, 9]
    assert mine.acknowledge([leased[3]], NOW).invalid == ()
    assert [message.sequence for message in mine.unacked()] == [1, 3, 9]


def test_settled_leases_leave_nothing_behind() -> None:
    mine = subscription()
    tracemalloc.start()
    try:
        for turn in range(60):
            mine.offer([Message(turn * 1000 + number, NOW, "", b"x" * 100) for number in range(1000)], 0, NOW)
            entries = mine.take(Consumer(), NOW, lease=600 * SECOND)
            mine.acknowledge([entry.ack_id for entry in entries[turn == 59 :]], NOW)
        del entries
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
    assert mine.next_event() == NOW + 600 * SECOND
    assert [*take(mine, NOW + 600 * SECOND)] == [59_000]
