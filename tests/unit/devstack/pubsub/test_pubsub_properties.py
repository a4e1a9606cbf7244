"""Random lives of a subscription, held against the naive model: nothing lost, nothing out of order or twice."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pubsub_model import Model, Record

from devstack.pubsub.model import SECOND, Consumer, DeadLetterPolicy, Message, RetryPolicy, Settings
from devstack.pubsub.subscription import Subscription

_keys = st.lists(st.sampled_from(["", "a", "a", "b"]), min_size=1, max_size=6)
# Counted from the latest delivery backwards, so that most are still leased and some are long stale.
_deliveries = st.lists(st.integers(1, 9), min_size=1, max_size=4)


class SubscriptionLife(RuleBasedStateMachine):
    """Publishes, takes, acknowledges, refuses, extends and waits in random order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.now = 1_000 * SECOND
        self.real = Subscription(settings, lease_prefix="1-")
        self.model = Model(settings)
        self.delivered: list[str] = []
        self.streams: list[Consumer] = []

    @initialize(limits=st.tuples(st.integers(0, 4), st.integers(0, 4)), keys=_keys)
    def start(self, limits: tuple[int, int], keys: list[str]) -> None:
        self.streams = [Consumer(holder=f"stream {index}", max_messages=most) for index, most in enumerate(limits)]
        self.publish(keys)

    @rule(keys=_keys)
    def publish(self, keys: list[str]) -> None:
        first = len(self.model.records) + 1
        messages = [Message(first + index, self.now, key, b"x" * index) for index, key in enumerate(keys)]
        self.real.offer(messages, 0, self.now)
        for message in messages:
            self.model.records.append(Record(message))

    @rule(stream=st.integers(0, 2), limit=st.integers(1, 6))
    def take(self, stream: int, limit: int) -> None:
        consumer = self.streams[stream] if stream < len(self.streams) else Consumer()
        self.model.expire(self.now)
        entries = self.real.take(consumer, self.now, limit=limit)
        self.model.check_taken(entries, consumer, limit, self.now)
        self.delivered += [entry.ack_id for entry in entries]

    @precondition(lambda self: self.delivered)
    @rule(deliveries=_deliveries)
    def acknowledge(self, deliveries: list[int]) -> None:
        ack_ids = self.chosen(deliveries)
        assert self.real.acknowledge(ack_ids, self.now) == self.model.acknowledge(ack_ids, self.now)

    @precondition(lambda self: self.delivered)
    @rule(deliveries=_deliveries, seconds=st.sampled_from([0, 0, 0, 1, 30]))
    def modify_deadline(self, deliveries: list[int], seconds: int) -> None:
        ack_ids = self.chosen(deliveries)
        lease = seconds * SECOND
        assert self.real.modify_deadline(ack_ids, lease, self.now) == self.model.modify_deadline(
            ack_ids, lease, self.now
        )

    def chosen(self, deliveries: list[int]) -> list[str]:
        return [self.delivered[-min(back, len(self.delivered))] for back in deliveries]

    @rule(seconds=st.sampled_from([1, 3, 10]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @precondition(lambda self: len(self.delivered) % 5 == 4)  # seldom, because it undoes so much
    @rule(age=st.integers(0, 30))
    def seek(self, age: int) -> None:
        moment = self.now - age * SECOND
        self.model.expire(self.now)
        self.real.tick(self.now)
        self.real.rewind([], lambda message: message.publish_time >= moment, self.now)
        self.model.seek(moment)

    @invariant()
    def counts_agree(self) -> None:
        self.real.tick(self.now)
        self.model.expire(self.now)
        stats = self.real.stats()
        unacked = self.model.open()
        assert [message.sequence for message in self.real.unacked()] == [one.message.sequence for one in unacked]
        assert stats.backlog == len(unacked)
        assert stats.backlog_bytes == sum(len(one.message.encoded) for one in unacked)
        assert stats.outstanding == sum(one.leased for one in unacked)
        assert [entry.message.sequence for entry in self.real.undeliverable] == self.model.dead

    def teardown(self) -> None:
        """Whatever happened: everything not acknowledged comes back, in order, until it is."""
        self.now += 10_000 * SECOND
        self.model.expire(self.now)
        self.real.tick(self.now)
        self.now += 10_000 * SECOND
        expected = [record.message for record in self.model.open()]
        drained = self.real.take(Consumer(), self.now)
        assert sorted(entry.message.sequence for entry in drained) == [message.sequence for message in expected]
        if self.real.settings.ordered:
            for key in ("a", "b"):
                sequences = [entry.message.sequence for entry in drained if entry.message.ordering_key == key]
                assert sequences == sorted(sequences)
        assert self.real.acknowledge([entry.ack_id for entry in drained], self.now).invalid == ()
        assert self.real.unacked() == []
        assert self.real.stats().backlog_bytes == 0


@pytest.mark.parametrize("retry", [None, RetryPolicy(2 * SECOND, 15 * SECOND)], ids=["at once", "backoff"])
@pytest.mark.parametrize("exactly_once", [False, True], ids=["at least once", "exactly once"])
@pytest.mark.parametrize("ordered", [False, True], ids=["unordered", "ordered"])
def test_every_life_follows_the_model(ordered: bool, exactly_once: bool, retry: RetryPolicy | None) -> None:
    settings = Settings(
        name="projects/p/subscriptions/sub",
        ordered=ordered,
        exactly_once=exactly_once,
        retain_acked=exactly_once,
        retry=retry,
        dead_letter=None if retry else DeadLetterPolicy("projects/p/topics/dead", 3),
    )
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: SubscriptionLife(settings),
        settings=hypothesis_settings(max_examples=50, stateful_step_count=40, deadline=None),
    )
