"""Producing records again that were dead-lettered, in the form in which `records.message_of` takes them."""

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Record

from core.errors import UnavailableError
from ingest.dead_letters.publishing import Outgoing, Refusal
from ingest.kafka.cluster import client_logger
from ingest.kafka.errors import kafka_error, translate
from ingest.kafka.records import KEY_ENCODING
from ingest.kafka.settings import KafkaSettings

_TIMEOUT_S: Final = 60.0
_MAX_BYTES: Final = 100_000_000
_REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - its public name
    }
)
"""Errors of single records, or of their topic: the others may be produced all the same."""


class KafkaPublisher:
    """Produces to topics of Kafka: an `ingest.dead_letters.publishing.Publisher`."""

    def __init__(self, producer: Producer) -> None:
        """Prepare to produce.

        Args:
            producer: the client.
        """
        self._producer = producer

    async def publish(self, topic: str, messages: Sequence[Outgoing]) -> list[str | Refusal]:
        """See `Publisher.publish`: returned once all in-sync replicas have every record."""
        return await asyncio.to_thread(self._publish, topic, messages)

    def _publish(self, topic: str, messages: Sequence[Outgoing]) -> list[str | Refusal]:
        answers: dict[int, Record | KafkaError] = {}
        for place, message in enumerate(messages):

            def answered(error: KafkaError | None, record: Record, place: int = place) -> None:
                answers[place] = record if error is None else error

            try:
                self._producer.produce(topic, on_delivery=answered, **_record(message))
            except KafkaException as error:
                answers[place] = kafka_error(error)
        self._producer.flush(_TIMEOUT_S)
        if len(answers) < len(messages):
            raise UnavailableError(
                f"topic {topic}: the brokers confirmed {len(answers)} of {len(messages)} records within "
                f"{_TIMEOUT_S:g} s; the command can be repeated"
            )
        return [_outcome(topic, answers[place]) for place in range(len(messages))]


@contextmanager
def kafka_publisher(kafka: KafkaSettings) -> Iterator[KafkaPublisher]:
    """Open a producer that writes each record once, in the order given (idempotent producer, KIP-98).

    Args:
        kafka: where, and as whom.

    Yields:
        The publisher.

    Raises:
        ConfigurationError: when the client refuses the options.
    """
    options: dict[str, Any] = kafka.client_options() | {
        "enable.idempotence": True,
        "message.timeout.ms": int(_TIMEOUT_S * 1_000),
        # The brokers and the topic say what is too large; the client's own limit is lower than what was consumed.
        "message.max.bytes": _MAX_BYTES,
        "logger": client_logger(),
    }
    try:
        producer = Producer(options)
    except KafkaException as error:
        raise translate(kafka_error(error), "Kafka") from error
    try:
        yield KafkaPublisher(producer)
    finally:
        producer.purge()


def _record(message: Outgoing) -> Mapping[str, Any]:
    """Return what a message was as a record: an empty body is a tombstone, as `message_of` reads it."""
    attributes = dict(message.attributes)
    is_binary = attributes.pop(KEY_ENCODING, None) == "base64"
    key = base64.b64decode(message.ordering_key) if is_binary else message.ordering_key.encode()
    headers = [(name, value.encode()) for name, value in attributes.items()]
    return {"key": key or None, "value": message.data or None, "headers": headers}


def _outcome(topic: str, answer: Record | KafkaError) -> str | Refusal:
    if isinstance(answer, KafkaError):
        told = translate(answer, f"topic {topic}")
        if answer.code() in _REFUSED:
            return Refusal(str(told))
        raise told
    return f"{topic}-{answer.partition()}-{answer.offset()}"
