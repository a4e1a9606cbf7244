"""What `ingest doctor` asks beside Pub/Sub and BigQuery: the API, the certificates, the registry, the large rows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from push_issuer import ACCOUNT, AUDIENCE, Issuer
from schema_registry_server import Registry, serving

from core.contracts import Contracts, load_contracts
from core.settings import Settings
from ingest.doctor import Check, examine
from ingest.settings import IngestSettings

TOKEN = "canary-token"
MEMBERS = Path("dbt_project/models/raw/member/members.yml")


@pytest.fixture
def http() -> Iterator[Registry]:
    """A server that answers as it is told, and remembers who asked with which token."""
    with serving(Registry()) as running:
        yield running


@pytest.fixture
def registry(http: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", http.url)
    return http


def contracts(folder: Path, **meta: object) -> Contracts:
    document = yaml.safe_load(MEMBERS.read_text())
    document["sources"][0]["tables"][0]["config"]["meta"] |= meta
    (folder / "members.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return load_contracts(folder)


def look(name: str, tables: Contracts, tunables: IngestSettings | None = None, **settings: object) -> Check:
    """Return one check; what needs Pub/Sub or BigQuery is red at once, for nothing listens there."""
    nowhere = "127.0.0.1:1"
    where = Settings.model_validate(
        {
            "pubsub_emulator_host": nowhere,
            "bigquery_emulator_host": nowhere,
            "bigquery_storage_emulator_host": nowhere,
            **settings,
        }
    )
    [found] = [check for check in examine(where, tables, tunables or IngestSettings()) if check.name == name]
    return found


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (404, True), (302, True), (503, True), (401, False), (403, False)]
)
def test_the_api_is_asked_with_the_token_and_answers(http: Registry, tmp_path: Path, status: int, ok: bool) -> None:
    http.add("/base/", b"", status, Location="http://127.0.0.1:1/")
    found = look("API", contracts(tmp_path), api_base_url=f"{http.url}/base", api_token=TOKEN)
    assert (found.ok, str(status) in found.detail, bool(found.fix)) == (ok, True, not ok)
    assert http.asked == [("/base/", f"Bearer {TOKEN}")]
    assert TOKEN not in found.detail


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"environment": "staging"}, "must be https"),
        ({"environment": "local", "api_allowed_hosts": ["members.example"]}, "MILLRACE_API_ALLOWED_HOSTS"),
        ({"environment": "local", "api_base_url": "http://user:secret@127.0.0.1/"}, "hold no credentials"),
    ],
)
def test_the_token_goes_nowhere_that_a_run_would_not_send_it(
    http: Registry, tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    found = look("API", contracts(tmp_path), **({"api_base_url": http.url, "api_token": TOKEN} | settings))
    assert not found.ok
    assert words in found.detail
    assert http.asked == []


def test_an_address_that_only_this_machine_can_reach_is_refused(http: Registry, tmp_path: Path) -> None:
    url = http.url.replace("http:", "https:")
    found = look("API", contracts(tmp_path), environment="staging", api_base_url=url, api_token=TOKEN)
    assert not found.ok
    assert "no address of the public internet" in found.detail
    assert http.asked == []


async def test_push_counts_the_certificates_it_would_verify_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = Issuer()
    async with issuer.served() as url:
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_AUDIENCE", AUDIENCE)
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_SERVICE_ACCOUNT", ACCOUNT)
        monkeypatch.setenv("MILLRACE_INGEST_PUSH_CERTIFICATES_URL", url)
        pushed = IngestSettings(transport="push")
        well = await asyncio.to_thread(look, "push endpoint", contracts(tmp_path), pushed)
        assert (well.ok, well.detail) == (True, f"{ACCOUNT} may push to audience {AUDIENCE}; 1 certificates")
        issuer.is_down = True
        ill = await asyncio.to_thread(look, "push endpoint", contracts(tmp_path), pushed)
    assert not ill.ok
    assert "UnavailableError: certificates at" in ill.detail
    assert "MILLRACE_INGEST_PUSH_*" in ill.fix


def test_push_without_its_settings_names_them(tmp_path: Path) -> None:
    found = look("push endpoint", contracts(tmp_path), IngestSettings(transport="push"))
    assert not found.ok
    assert "push settings are not valid" in found.detail


@pytest.mark.parametrize(
    ("answer", "token", "fault"),
    [
        ((404, {"error_code": 40403}), None, None),
        ((404, {"error_code": 40403}), TOKEN, None),
        ((401, {}), TOKEN, "refuses the credentials (401)"),
        ((404, {}), None, "answers 404"),
        ((503, {}), None, "answers 503"),
        ((200, b"<html>"), None, "is no schema registry"),
    ],
)
def test_the_registry_is_asked_as_a_run_asks_it(
    registry: Registry, tmp_path: Path, answer: tuple[int, object], token: str | None, fault: str | None
) -> None:
    path = f"/schemas/ids/{2**31 - 1}"
    registry.add(path, answer[1], answer[0])
    with pytest.MonkeyPatch.context() as environment:
        if token is not None:
            environment.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN", token)
        found = look("schema registry", contracts(tmp_path, encoding="avro"))
    assert (found.ok, (fault or "answers") in found.detail) == (fault is None, True), found.detail
    assert registry.asked == [(path, token and f"Bearer {token}")]


def test_the_registry_gets_no_credentials_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_URL", "http://registry.example")
    monkeypatch.setenv("MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN", TOKEN)
    found = look("schema registry", contracts(tmp_path, encoding="avro"))
    assert not found.ok
    assert "must be https when there are credentials" in found.detail


def test_without_a_registry_schemas_come_from_files(tmp_path: Path) -> None:
    assert look("schema registry", contracts(tmp_path, encoding="avro")).detail == "none: schemas come from files"


def test_the_place_of_large_rows_is_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    well = look("place of large rows", contracts(tmp_path), IngestSettings(oversize_uri=folder.as_uri()))
    assert (well.ok, [path.read_bytes() for path in folder.rglob("*") if path.is_file()]) == (True, [b"ok"])
    (tmp_path / "file").touch()
    ill = look("place of large rows", contracts(tmp_path), IngestSettings(oversize_uri=(tmp_path / "file").as_uri()))
    assert not ill.ok
    assert "MILLRACE_INGEST_OVERSIZE_URI" in ill.fix
