"""Clients reach what the settings name, and say in a sentence when there are no credentials."""

from collections.abc import Callable
from typing import Any

import pytest
from google.auth import exceptions

from core import clients
from core.errors import ConfigurationError
from core.settings import Settings

FACTORIES = [
    clients.bigquery_client,
    clients.bigquery_read_client,
    clients.bigquery_write_client,
    clients.publisher_client,
    clients.subscriber_client,
    clients.gcs_client,
]
NOWHERE = "127.0.0.1:9"
STAND_INS = Settings(
    bigquery_emulator_host=NOWHERE,
    bigquery_storage_emulator_host=NOWHERE,
    pubsub_emulator_host=NOWHERE,
    gcs_emulator_host=NOWHERE,
    s3_endpoint_url=f"http://{NOWHERE}",
)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    def default(**_: Any) -> Any:
        raise exceptions.DefaultCredentialsError("none")

    monkeypatch.setattr("google.auth.default", default)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_without_credentials_the_fix_is_named(factory: Callable[[Settings], Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"gcloud auth application-default login.*devstack up"):
        factory(Settings(bigquery_emulator_host=None, bigquery_storage_emulator_host=None, pubsub_emulator_host=None))


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__name__)
def test_a_stand_in_needs_no_credentials(factory: Callable[[Settings], Any]) -> None:
    assert factory(STAND_INS) is not None


def test_s3_goes_where_the_settings_say() -> None:
    assert clients.s3_client(STAND_INS).meta.endpoint_url == f"http://{NOWHERE}"


def test_a_bare_host_and_port_is_taken_for_http() -> None:
    assert f"http://{NOWHERE}" == clients.bigquery_client(STAND_INS)._connection.API_BASE_URL
