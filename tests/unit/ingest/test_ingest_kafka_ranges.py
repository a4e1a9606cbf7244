"""Where Kafka's records since an instant are: by the brokers' index of times, and without one from the beginning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError, UnavailableError
from ingest.kafka.ranges import PartitionRange, ranges_since

TOPIC = "members"
Fault = Callable[[Sequence[TopicPartition]], list[TopicPartition]]


@dataclass(frozen=True)
class Brokers:
    """Partitions as lists of times, the first at an offset; they answer as Kafka's `OffsetSpec.forTimestamp` does."""

    partitions: Sequence[Sequence[int]]
    low: int = 0
    fault: Fault | None = None

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return self.low, self.low + len(self.partitions[partition.partition])

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if self.fault is not None:
            return self.fault(partitions)
        return [TopicPartition(TOPIC, one.partition, self._first(one.partition, one.offset)) for one in partitions]

    def _first(self, partition: int, instant: int) -> int:
        young = (place for place, time in enumerate(self.partitions[partition]) if time >= instant)
        return next((self.low + place for place in young), -1)


def ranges(brokers: Brokers, since_ms: int) -> list[PartitionRange]:
    return ranges_since(brokers, [(TOPIC, number) for number in range(len(brokers.partitions))], since_ms)


@given(
    partitions=st.lists(st.lists(st.integers(0, 20), max_size=8), min_size=1, max_size=4),
    since_ms=st.integers(1, 21),
    low=st.integers(0, 3),
)
def test_every_record_since_an_instant_lies_within_and_none_but_what_may_be_lies_before(
    partitions: list[list[int]], since_ms: int, low: int
) -> None:
    """Also where times fall from one record to the next."""
    found = {one.partition: one for one in ranges(Brokers(partitions, low), since_ms)}
    for number, times in enumerate(partitions):
        wanted = {low + place for place, time in enumerate(times) if time >= since_ms}
        assert (number in found) == bool(wanted)
        if wanted:
            assert found[number] == PartitionRange(TOPIC, number, min(wanted), low + len(times))


def error(code: int) -> KafkaError:
    return KafkaError(code)


def raising(code: int) -> Fault:
    def raise_it(_: Sequence[TopicPartition]) -> list[TopicPartition]:
        raise KafkaException(error(code))

    return raise_it


class Failed:
    """What the client returns for a partition that failed; its own class takes no error."""

    def __init__(self, partition: int, code: int) -> None:
        self.topic, self.partition, self.offset, self.error = TOPIC, partition, -1001, error(code)


def answering(code: int) -> Fault:
    return lambda asked: [cast("TopicPartition", Failed(one.partition, code)) for one in asked]


@pytest.mark.parametrize(
    "fault",
    [
        raising(KafkaError.UNSUPPORTED_VERSION),
        answering(KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        lambda asked: [TopicPartition(TOPIC, one.partition, -1) for one in asked],  # as librdkafka's mock cluster does
    ],
)
def test_where_the_brokers_tell_no_times_everything_that_is_kept_is_read(
    fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ranges(Brokers([[1, 2], [], [9]], low=5, fault=fault), 8)
    assert found == [
        PartitionRange(TOPIC, 0, 5, 7, is_scan=True),
        PartitionRange(TOPIC, 2, 5, 6, is_scan=True),
    ]
    assert "tell no offsets for times" in capsys.readouterr().out


@pytest.mark.parametrize("make", [raising, answering])
def test_other_faults_are_no_reason_to_read_everything(make: Callable[[int], Fault]) -> None:
    with pytest.raises(ConfigurationError, match="grant the user Read"):
        ranges(Brokers([[1]], fault=make(KafkaError.TOPIC_AUTHORIZATION_FAILED)), 1)
    with pytest.raises(UnavailableError, match="offsets for times"):
        ranges(Brokers([[1]], fault=make(KafkaError.REQUEST_TIMED_OUT)), 1)
