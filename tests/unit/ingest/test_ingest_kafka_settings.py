"""Settings of the Kafka transport: secrets stay secret, and what cannot work is refused with the fix."""

import pytest
from pydantic import ValidationError

from core.errors import ConfigurationError
from ingest.kafka import KafkaSettings, load_kafka_settings

PASSWORD = "canary-7f3a"
SASL = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_username": "millrace",
    "sasl_password": PASSWORD,
}


def kafka(**changes: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": "a:9092,b:9092", **changes})


def test_the_environment_is_read_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", "broker:9093")
    for name, value in SASL.items():
        monkeypatch.setenv(f"MILLRACE_INGEST_KAFKA_{name.upper()}", value)
    found = load_kafka_settings()
    assert PASSWORD not in repr(found)
    assert PASSWORD not in str(found.model_dump())
    options = found.consumer_options()
    assert options["sasl.password"] == PASSWORD
    assert options["bootstrap.servers"] == "broker:9093"
    assert options["enable.auto.commit"] is False
    assert options["enable.auto.offset.store"] is False
    assert "ssl.ca.location" not in options


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("MILLRACE_INGEST_KAFKA_SASL_PASSWORD", PASSWORD)
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS: Field required") as caught:
        load_kafka_settings()
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bootstrap_servers": "no-port"}, "pattern"),
        ({"security_protocol": "SASL_SSL"}, "set sasl_mechanism"),
        (SASL | {"sasl_password": None}, "set sasl_mechanism"),
        (SASL | {"security_protocol": "SSL"}, "must be SASL_SSL"),
        ({"ssl_ca_location": "/ca.pem"}, "must be SSL or SASL_SSL"),
        ({"security_protocol": "SSL", "ssl_key_location": "/key.pem"}, "belong together"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kafka(**changes)


def test_mutual_tls_and_static_membership_are_passed_on() -> None:
    files = {"ssl_certificate_location": "/c.pem", "ssl_key_location": "/k.pem", "ssl_key_password": PASSWORD}
    options = kafka(security_protocol="SSL", group_instance_id="replica-0", **files).consumer_options()
    assert options["ssl.certificate.location"] == "/c.pem"
    assert options["ssl.key.password"] == PASSWORD
    assert options["group.instance.id"] == "replica-0"
    assert options["heartbeat.interval.ms"] <= options["session.timeout.ms"] / 3
