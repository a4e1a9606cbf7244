"""Whether the brokers answer and the topics are there; for the run's beginning and for `ingest doctor`."""

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from core.errors import ConfigurationError, MillraceError
from ingest.kafka.errors import kafka_error, translate
from ingest.kafka.settings import KafkaSettings

_log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 10.0
_OPTION: Final = re.compile(r"(ssl|sasl)(\.[a-z]+)+")


class _ToStructlog(logging.Handler):
    """Hands on what the client says, so that it stands among our own events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        level = "warning" if record.levelno >= logging.WARNING else "debug"
        getattr(_log, level)("kafka client", told=record.getMessage())


def client_logger() -> logging.Logger:
    """Return a logger for the client's option `logger`; without one it writes to standard error as it likes."""
    logger = logging.Logger("confluent_kafka")
    logger.addHandler(_ToStructlog())
    return logger


def check_topics(kafka: KafkaSettings, topics: Sequence[str], timeout_s: float = _TIMEOUT_S) -> str:
    """Make sure that the brokers answer, and that topics exist and may be described. Blocks.

    Args:
        kafka: where, and as whom.
        topics: names of the topics.
        timeout_s: how long the brokers may take, in seconds.

    Returns:
        What was found, in words.

    Raises:
        ConfigurationError: when the user is refused, or a topic is not there.
        UnavailableError: when no broker answers.
    """
    told: list[KafkaError] = []
    options: dict[str, Any] = kafka.client_options()
    try:
        client = AdminClient(options | {"error_cb": told.append, "logger": client_logger()})
    except KafkaException as error:
        raise _refused(kafka_error(error)) from error
    try:
        found = client.list_topics(timeout=timeout_s)
    except KafkaException as error:
        # Why a connection was refused the client has kept to itself until it is asked.
        client.poll(0)
        raise _cause(kafka_error(error), told) from error
    for topic in topics:
        described = found.topics.get(topic)
        failure = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART) if described is None else described.error
        if failure is not None:
            raise translate(failure, f"topic {topic}")
    partitions = sum(len(found.topics[topic].partitions) for topic in topics)
    return f"{len(topics)} topics with {partitions} partitions on {len(found.brokers)} brokers"


def _cause(error: KafkaError, told: Sequence[KafkaError]) -> MillraceError:
    """Return why the brokers did not answer: the call itself knows only that they did not."""
    causes = [translate(one, "Kafka") for one in (*told, error)]
    return next((one for one in causes if isinstance(one, ConfigurationError)), causes[-1])


def _refused(error: KafkaError) -> MillraceError:
    """Return what is wrong with the options themselves: waiting helps with none of it."""
    named = _OPTION.search(error.str())
    setting = "*" if named is None else named[0].replace(".", "_").upper()
    return ConfigurationError(f"Kafka: {error.str()}; check MILLRACE_INGEST_KAFKA_{setting}")
