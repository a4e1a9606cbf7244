"""A stand-in that is not there is told at once, with the fix; a real service is left alone."""

import socket

import pytest

from core.cli import usage
from core.errors import ConfigurationError, CredentialsError, UnavailableError, UsageError
from core.settings import Settings
from core.stand_ins import PUBSUB, check_stand_ins, is_listening


def test_whoever_does_not_listen_is_named_with_the_fix() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        there = Settings(pubsub_emulator_host=f"127.0.0.1:{port}")
        check_stand_ins(there)
        away = there.model_copy(update={"bigquery_emulator_host": "http://127.0.0.1:1"})
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 \(BIGQUERY_EMULATOR_HOST\): .*devstack up"):
            check_stand_ins(away)
        check_stand_ins(away, (PUBSUB,))


def test_real_services_are_not_looked_at() -> None:
    check_stand_ins(Settings())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1:port", "", "http://"])
def test_what_is_no_address_does_not_listen(address: str) -> None:
    assert not is_listening(address)


def test_a_fault_of_what_was_written_is_wrong_use_and_missing_credentials_are_not() -> None:
    with pytest.raises(UsageError, match="topic"), usage():
        raise ConfigurationError("topic is wrong")
    with pytest.raises(CredentialsError), usage():
        raise CredentialsError("there are none")
    with pytest.raises(UsageError, match="option"), usage():
        raise UsageError("option is wrong")
