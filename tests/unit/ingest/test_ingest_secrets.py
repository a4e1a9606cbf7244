"""No secret leaves the ingester but in the header it is meant for, however ill it was written."""

from pathlib import Path

import httpx
import pytest
import structlog
import yaml
from fetch_api import fetching, in_turn, row_answer, row_notification, scripted
from pydantic import SecretStr
from schema_registry_server import Registry, serving
from typer.testing import CliRunner

from core.contracts import load_contracts
from core.errors import UnavailableError, UsageError
from core.settings import Settings, load_settings
from ingest.cli import app
from ingest.decode.avro.settings import load_avro_settings
from ingest.doctor import examine
from ingest.fetch import Fetcher, api_client, described
from ingest.settings import IngestSettings

CANARY = "s3cret-5f1c"
QUICK = IngestSettings(fetch_attempts=2, retry_first_wait_s=0.001, retry_longest_wait_s=0.01)


async def test_a_token_with_a_line_end_behind_it_is_sent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(in_turn(row_answer())) as api:
        monkeypatch.setenv("MILLRACE_API_BASE_URL", api.url)
        monkeypatch.setenv("MILLRACE_API_TOKEN", f"{CANARY}\r\n")
        async with api_client(load_settings(), QUICK) as client:
            await Fetcher(client, QUICK).fetch(row_notification())
    assert api.tokens == [f"Bearer {CANARY}"]


@pytest.mark.parametrize("token", ["", "\n", f"{CANARY}\nX: 1", f"{CANARY}\u00e9"])
@pytest.mark.parametrize("name", ["MILLRACE_API_TOKEN", "MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN"])
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_token_that_cannot_be_sent_is_wrong_use_before_anything_is_asked(
    command: str, name: str, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = yaml.safe_load(Path("dbt_project/models/raw/member/members.yml").read_text())
    document["sources"][0]["tables"][0]["config"]["meta"]["encoding"] = "avro"
    (tmp_path / "members.yml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("MILLRACE_CONTRACTS_PATH", str(tmp_path))
    monkeypatch.setenv(name, token)
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, UsageError), result.output
    assert name.removeprefix("MILLRACE_").lower() in str(result.exception).lower()
    assert CANARY not in f"{result.output} {result.exception} {result.exception.__cause__}"


async def test_a_request_that_the_client_refuses_is_told_without_what_it_holds() -> None:
    """Even were the settings to let it through."""
    with scripted(in_turn(row_answer())) as api, structlog.testing.capture_logs() as events:
        async with httpx.AsyncClient(base_url=api.url, headers={"Authorization": f"Bearer {CANARY}\n"}) as client:
            with pytest.raises(UnavailableError, match="LocalProtocolError") as caught:
                await Fetcher(client, QUICK).fetch(row_notification())
            with pytest.raises(httpx.LocalProtocolError, match=CANARY) as control:
                await client.get("/")
    assert events, "the attempts are logged"
    assert CANARY not in f"{caught.value} {events} {described(control.value)}"


def test_doctor_tells_no_more_than_a_run() -> None:
    stand_ins = ("pubsub_emulator_host", "bigquery_emulator_host", "bigquery_storage_emulator_host")
    with scripted(in_turn(row_answer())) as api:
        settings = Settings.model_validate({"api_base_url": api.url} | dict.fromkeys(stand_ins, "127.0.0.1:1"))
        # A copy is not checked, so this token is as it must never be.
        unchecked = settings.model_copy(update={"api_token": SecretStr(f"{CANARY}\n")})
        checks = examine(unchecked, load_contracts(Path("dbt_project/models/raw")), QUICK)
        [found] = [check for check in checks if check.name == "API"]
    assert (found.ok, found.detail) == (False, "LocalProtocolError")


async def test_an_etag_beyond_ascii_is_not_sent_back() -> None:
    with scripted(in_turn(row_answer(etag='"\u00e9"'))) as api:
        async with fetching(api.url) as (fetcher, _):
            assert (await fetcher.fetch(row_notification())).version == 5
            assert (await fetcher.fetch(row_notification())).version == 5
    assert ["if-none-match" in one.headers for one in api.requests] == [False, False]


def test_the_registry_gets_a_token_and_a_password_without_their_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Registry()) as registry:
        monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", registry.url)
        monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN", f"{CANARY}\n")
        monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_PASSWORD", f"{CANARY}\n")
        settings = load_avro_settings()
    for secret in (settings.schema_registry_token, settings.schema_registry_password):
        assert secret is not None
        assert secret.get_secret_value() == CANARY
