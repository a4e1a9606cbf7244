"""Which offsets of a topic's partitions hold what was published since an instant.

Brokers tell the first offset whose record is as young as an instant (ListOffsets with a timestamp, KIP-79). Those that
keep no index of times tell none: they answer with an error, as for topics in the message format of before 0.10, or as
if there were no such record. Whoever knows no offset of a partition with records even for the year 1970 tells none at
all; then the partition is read from its beginning, and records outside the window are passed by.

Times of records need not rise with their offsets, so a range ends where the partition ended when it was looked up.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ingest.kafka.errors import kafka_error, translate

_log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 30.0
_TELL_NO_TIMES: Final = frozenset(
    {
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.INVALID_REQUEST,
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001 - its public name
    }
)
"""Errors of brokers that cannot tell offsets for times, whoever asks."""


class PartitionRange(msgspec.Struct, frozen=True):
    """Offsets of a partition.

    Attributes:
        topic: name of the topic.
        partition: number of the partition.
        begin: the first offset to be read.
        end: the first offset after these.
        is_scan: whether they begin with the partition, for the brokers told no offset for the time.
    """

    topic: str
    partition: int
    begin: int
    end: int
    is_scan: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What names the partition."""
        return self.topic, self.partition


class OffsetIndex(Protocol):
    """What is asked of a consumer."""

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        """Return the first offset that is kept, and the one that the next record will have."""

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return for each partition the first offset as young as its `offset`, a time in ms; negative for none."""


def ranges_since(index: OffsetIndex, partitions: Sequence[tuple[str, int]], since_ms: int) -> list[PartitionRange]:
    """Return where the records since an instant are. Blocks.

    Args:
        index: the brokers.
        partitions: topics and numbers.
        since_ms: the instant, in milliseconds since 1970 UTC.

    Returns:
        Ranges in the order of the partitions; none of those without such a record.

    Raises:
        ConfigurationError: when the user is refused, or a topic is not there.
        UnavailableError: when the brokers do not answer.
    """
    kept = {one: _kept(index, one) for one in partitions}
    filled = [one for one, (low, high) in kept.items() if low < high]
    told = _told(index, filled, since_ms)
    # No record so young, or no index: the year 1970 tells the two apart.
    unknown = [one for one in filled if told[one] is None]
    ever = _told(index, unknown, 0)
    scanned = [one for one in unknown if ever[one] is None]
    if scanned:
        _log.warning(
            "the brokers tell no offsets for times: partitions are read from their beginning, and older records are "
            "passed by",
            partitions=[f"{topic}-{partition}" for topic, partition in scanned],
            records=sum(kept[one][1] - kept[one][0] for one in scanned),
        )
    begins = {one: offset for one, offset in told.items() if offset is not None} | {
        one: kept[one][0] for one in scanned
    }
    return [
        PartitionRange(*one, begin=begins[one], end=kept[one][1], is_scan=one in scanned)
        for one in partitions
        if one in begins
    ]


def _kept(index: OffsetIndex, partition: tuple[str, int]) -> tuple[int, int]:
    try:
        return index.get_watermark_offsets(TopicPartition(*partition), timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise translate(kafka_error(error), f"offsets of {partition[0]}-{partition[1]}") from error


def _told(
    index: OffsetIndex, partitions: Sequence[tuple[str, int]], instant_ms: int
) -> Mapping[tuple[str, int], int | None]:
    """Return the first offset as young as an instant; None where the brokers tell none."""
    if not partitions:
        return {}
    try:
        answers = index.offsets_for_times([TopicPartition(*one, instant_ms) for one in partitions], timeout=_TIMEOUT_S)
    except KafkaException as error:
        _pass(kafka_error(error))
        return dict.fromkeys(partitions)
    for answer in answers:
        if answer.error is not None:
            _pass(answer.error)
    return {
        (answer.topic, answer.partition): answer.offset if answer.error is None and answer.offset >= 0 else None
        for answer in answers
    }


def _pass(error: KafkaError) -> None:
    """Let the errors pass that say that no times are known; raise all others."""
    if error.code() not in _TELL_NO_TIMES:
        raise translate(error, "offsets for times")
