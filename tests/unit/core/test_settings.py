"""Settings: environment over file, every fault named, no secret shown."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings import load_settings

SECRET = "canary-5f1c"


def test_defaults_are_local_and_safe() -> None:
    settings = load_settings()
    assert settings.environment == "local"
    assert settings.bigquery_emulator_host is None


def test_the_environment_outranks_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "millrace.yml"
    file.write_text("project: from-file\nlocation: EU\n")
    monkeypatch.setenv("MILLRACE_CONFIG", str(file))
    monkeypatch.setenv("MILLRACE_PROJECT", "from-environment")
    settings = load_settings()
    assert (settings.project, settings.location) == ("from-environment", "EU")


def test_the_emulators_own_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:2")
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", "127.0.0.1:3")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4")
    settings = load_settings()
    assert settings.pubsub_emulator_host == "127.0.0.1:1"
    assert settings.bigquery_emulator_host == "http://127.0.0.1:2"
    assert settings.bigquery_storage_emulator_host == "127.0.0.1:3"
    assert settings.s3_endpoint_url == "http://127.0.0.1:4"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MILLRACE_PROJECT", "x`; drop"),
        ("MILLRACE_AUDIT_DATASET", "a-b"),
        ("MILLRACE_ENVIRONMENT", "prod"),
        ("MILLRACE_SNAPSHOT_URI", "ftp://x"),
        ("MILLRACE_API_BASE_URL", "file:///etc"),
        ("MILLRACE_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.removeprefix("MILLRACE_").lower()):
        load_settings()


def test_a_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_API_TOKEN", SECRET)
    settings = load_settings()
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == SECRET
    monkeypatch.setenv("MILLRACE_LOG_LEVEL", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump_json()} {caught.value}"


@pytest.mark.parametrize("text", ["project: [", "unknown_setting: 1", "- 1"])
def test_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "millrace.yml"
    file.write_text(text)
    monkeypatch.setenv("MILLRACE_CONFIG", str(file))
    with pytest.raises(ConfigurationError):
        load_settings()


def test_an_absent_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CONFIG", "absent.yml")
    with pytest.raises(ConfigurationError, match="MILLRACE_CONFIG"):
        load_settings()


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_production_refuses_a_forgotten_emulator(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    monkeypatch.setenv("MILLRACE_ENVIRONMENT", environment)
    load_settings()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="PUBSUB_EMULATOR_HOST"):
        load_settings()
