"""Where Kafka is and as whom to read it."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError
from core.secrets import Password

_PREFIX: Final = "MILLRACE_INGEST_KAFKA_"
_MAX_QUEUED_KIB: Final = 2_097_151  # librdkafka's limit


class KafkaSettings(BaseSettings):
    """Settings of the Kafka transport, read from `MILLRACE_INGEST_KAFKA_<NAME>`.

    Attributes:
        bootstrap_servers: brokers to begin with, `host:port` with commas between.
        group_id: consumer group; all replicas of one ingester share it.
        group_instance_id: name of this replica that survives its restart, so that a restart within the session
            timeout moves no partition (KIP-345); None for a new member at each start.
        auto_offset_reset: where to begin with a partition of which the group knows no offset: at the `earliest`
            record that is kept, or with an error.
        security_protocol: how brokers are spoken to.
        sasl_mechanism: how the user proves who it is; required with SASL.
        sasl_username: the user, or API key.
        sasl_password: its password, or API secret; never printed.
        ssl_ca_location: file of the CA certificates to trust; the system's when not set.
        ssl_certificate_location: file of the client's certificate, for mutual TLS.
        ssl_key_location: file of its private key.
        ssl_key_password: password of that key; never printed.
        session_timeout_ms: silence after which the group gives a member's partitions to others, in milliseconds.
        commit_ms: time between two commits of offsets, in milliseconds.
        revoke_wait_s: how long rows in flight may take to land before their partition is handed over, in seconds.
        queued_kib: records fetched ahead of need at most, in KiB.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: Annotated[str, Field(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")]
    group_id: Annotated[str, Field(min_length=1, max_length=249)] = "millrace-ingest"
    group_instance_id: Annotated[str, Field(min_length=1, max_length=249)] | None = None
    auto_offset_reset: Literal["earliest", "error"] = "earliest"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: Password | None = None
    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None
    ssl_key_password: Password | None = None
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=3_600_000)] = 45_000
    commit_ms: Annotated[int, Field(ge=10, le=60_000)] = 500
    revoke_wait_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    queued_kib: Annotated[int, Field(ge=64, le=_MAX_QUEUED_KIB)] = 16_384

    @model_validator(mode="after")
    def _check(self) -> Self:
        sasl = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if self.security_protocol.startswith("SASL") and None in sasl:
            raise ValueError("with SASL, set sasl_mechanism, sasl_username and sasl_password")
        if not self.security_protocol.startswith("SASL") and any(sasl):
            raise ValueError("sasl_* is set: security_protocol must be SASL_SSL (or SASL_PLAINTEXT)")
        if self.security_protocol == "PLAINTEXT" and any((self.ssl_ca_location, self.ssl_certificate_location)):
            raise ValueError("ssl_* is set: security_protocol must be SSL or SASL_SSL")
        if (self.ssl_certificate_location is None) != (self.ssl_key_location is None):
            raise ValueError("ssl_certificate_location and ssl_key_location belong together")
        return self

    def client_options(self) -> dict[str, Any]:
        """Return the options of any client, secrets included.

        The names are librdkafka's: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md.
        """
        options = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "millrace-ingest",
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": _revealed(self.sasl_password),
            "ssl.ca.location": _text(self.ssl_ca_location),
            "ssl.certificate.location": _text(self.ssl_certificate_location),
            "ssl.key.location": _text(self.ssl_key_location),
            "ssl.key.password": _revealed(self.ssl_key_password),
        }
        return {name: value for name, value in options.items() if value is not None}

    def consumer_options(self) -> dict[str, Any]:
        """Return the options of a consumer that commits nothing by itself."""
        options = self.client_options() | {
            "group.id": self.group_id,
            "group.instance.id": self.group_instance_id,
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": max(100, min(3_000, self.session_timeout_ms // 10)),
            "auto.offset.reset": self.auto_offset_reset,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A partition moves only when it must: the others go on landing through a rebalance (KIP-429).
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": self.queued_kib,
        }
        return {name: value for name, value in options.items() if value is not None}


def load_kafka_settings() -> KafkaSettings:
    """Read the settings of the Kafka transport.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when one is wrong or missing; each fault is named on a line of its own, without the value.
    """
    try:
        return KafkaSettings()
    except ValidationError as error:
        faults = [f"{_PREFIX}{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("Kafka settings are not valid:\n  " + "\n  ".join(faults)) from error


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
