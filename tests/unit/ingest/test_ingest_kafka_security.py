"""TLS and SASL of Kafka reach the client, and what is wrong with them is told by name, without the secret."""

from pathlib import Path

import pytest
from kafka_broker import Authority, Broker, serving

from core.errors import ConfigurationError
from ingest.kafka import KafkaSettings
from ingest.kafka.cluster import check_topics

TOPIC = "loyalty.member.members"
USER = ("millrace", "canary-7f3a")
LOGIN = {"sasl_mechanism": "PLAIN", "sasl_username": USER[0], "sasl_password": USER[1]}


def check(broker: Broker, **settings: object) -> str:
    kafka = KafkaSettings.model_validate({"bootstrap_servers": broker.address, **settings})
    return check_topics(kafka, [TOPIC], timeout_s=2)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "our-ca")


def test_a_login_over_tls_is_what_the_settings_say(authority: Authority) -> None:
    with serving(Broker(USER, TOPIC), authority.server_context(asks_clients=False)) as broker:
        told = check(broker, security_protocol="SASL_SSL", ssl_ca_location=authority.certificate, **LOGIN)
    assert told == "1 topics with 1 partitions on 1 brokers"
    assert set(broker.logins) == {USER}
    assert set(broker.clients) == {None}


def test_a_client_certificate_is_shown_to_a_broker_that_asks(authority: Authority) -> None:
    certificate, key = authority.issue("millrace-client")
    files = {"ssl_certificate_location": certificate, "ssl_key_location": key}
    with serving(Broker(None, TOPIC), authority.server_context(asks_clients=True)) as broker:
        check(broker, security_protocol="SSL", ssl_ca_location=authority.certificate, **files)
    assert set(broker.clients) == {"millrace-client"}
    assert broker.logins == []


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_a_wrong_password_names_the_settings_and_not_the_password(authority: Authority, protocol: str) -> None:
    context = authority.server_context(asks_clients=False) if protocol == "SASL_SSL" else None
    trusted = {"ssl_ca_location": authority.certificate} if protocol == "SASL_SSL" else {}
    with (
        serving(Broker((USER[0], "another"), TOPIC), context) as broker,
        pytest.raises(ConfigurationError, match="_SASL_USERNAME and _SASL_PASSWORD") as caught,
    ):
        check(broker, security_protocol=protocol, **trusted, **LOGIN)
    assert USER in broker.logins
    assert USER[1] not in str(caught.value)


def test_a_broker_that_somebody_else_has_vouched_for_is_not_told_the_password(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    stranger = Authority(tmp_path / "elsewhere", "another-ca")
    with (
        serving(Broker(USER, TOPIC), stranger.server_context(asks_clients=False)) as broker,
        pytest.raises(ConfigurationError, match="check MILLRACE_INGEST_KAFKA_SECURITY_PROTOCOL and the certificates"),
    ):
        check(broker, security_protocol="SASL_SSL", ssl_ca_location=authority.certificate, **LOGIN)
    assert broker.logins == []


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "no_certificate"])
def test_a_file_of_certificates_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match="check MILLRACE_INGEST_KAFKA_SSL_CA_LOCATION"):
        check(Broker(None, TOPIC, address="localhost:1"), security_protocol="SSL", ssl_ca_location=path)
