"""What the client's errors mean to us: somebody must mend something, or waiting helps."""

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from core.errors import ConfigurationError, MillraceError, UnavailableError

_FIXES: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or correct `topic` in the contract",
    KafkaError._UNKNOWN_TOPIC: "create the topic, or correct `topic` in the contract",  # noqa: SLF001 - its public name
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant the user Read and Describe on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant the user Read on the group MILLRACE_INGEST_KAFKA_GROUP_ID",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant the user access to the cluster",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check MILLRACE_INGEST_KAFKA_SASL_USERNAME and _SASL_PASSWORD",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "set MILLRACE_INGEST_KAFKA_SASL_MECHANISM to one the brokers offer",
    KafkaError._AUTHENTICATION: "check MILLRACE_INGEST_KAFKA_SASL_USERNAME and _SASL_PASSWORD",  # noqa: SLF001
    KafkaError._SSL: "check MILLRACE_INGEST_KAFKA_SECURITY_PROTOCOL and the certificates",  # noqa: SLF001
    KafkaError.INVALID_GROUP_ID: "set MILLRACE_INGEST_KAFKA_GROUP_ID to a valid name",
    KafkaError.FENCED_INSTANCE_ID: "give each replica a MILLRACE_INGEST_KAFKA_GROUP_INSTANCE_ID of its own",
    KafkaError._AUTO_OFFSET_RESET: (  # noqa: SLF001
        "the group's offset is no longer kept: records may be lost; take a snapshot, or set "
        "MILLRACE_INGEST_KAFKA_AUTO_OFFSET_RESET=earliest to go on with what is left"
    ),
}
"""Errors that stay the same until somebody mends something, each with what to do."""


def translate(error: KafkaError, what: str) -> MillraceError:
    """Turn an error of the client into ours.

    Args:
        error: the error.
        what: what was being done.

    Returns:
        `ConfigurationError` when waiting cannot help, `UnavailableError` otherwise.
    """
    fix = _FIXES.get(error.code())
    told = f"{what}: {error.str()} ({error.name()})"
    if fix is not None:
        return ConfigurationError(f"{told}; {fix}")
    if error.fatal():
        return ConfigurationError(f"{told}; the client cannot go on")
    return UnavailableError(told)


def kafka_error(exception: KafkaException) -> KafkaError:
    """Return the error that an exception carries.

    Args:
        exception: raised by the client.
    """
    carried = exception.args[0] if exception.args else None
    return carried if isinstance(carried, KafkaError) else KafkaError(KafkaError._FAIL, str(exception))  # noqa: SLF001
