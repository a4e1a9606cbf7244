"""Settings: environment over file over defaults, checked at start.

Each setting is read from the environment as `MILLRACE_<NAME>`; a YAML file named by `MILLRACE_CONFIG` may
hold the same names in lower case. The emulators' addresses keep the names that Google's and Amazon's own
clients read, so one variable serves every tool.
"""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AliasChoices, Field, IPvAnyNetwork, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from core.errors import ConfigurationError
from core.identifiers import check_name, check_project
from core.logs import LogFormat
from core.secrets import BearerToken

CONFIG_VARIABLE = "MILLRACE_CONFIG"

_alias = partial(Field, default=None)


class Settings(BaseSettings):
    """What differs between a laptop and production.

    Attributes:
        environment: where this runs; `local` is the only one that may use stand-ins.
        project: Google Cloud project id.
        location: BigQuery location.
        contracts_path: folder of the dbt source YAML.
        audit_dataset: dataset of `dead_letters`, `runs` and the other audit tables.
        subscription_suffix: a topic's subscription is the topic's name and this suffix.
        dead_letter_topic: topic that takes what cannot be landed.
        snapshot_uri: where the snapshots for reconciliation lie.
        api_base_url: base URL of the API that notifications point to.
        api_token: bearer token of that API, visible ASCII; never printed.
        api_allowed_hosts: hosts that requests to the API may go to; the host of `api_base_url` when empty.
        api_allowed_networks: networks in CIDR form whose addresses the API may have although they are not
            global, such as `10.20.0.0/16` for an API inside the VPC; loopback and link-local never are.
        log_format: `json` or `console`.
        log_level: the least severe level logged.
        bigquery_emulator_host: REST address of a local BigQuery (`BIGQUERY_EMULATOR_HOST`).
        bigquery_storage_emulator_host: gRPC address of its Storage API
            (`BIGQUERY_STORAGE_EMULATOR_HOST`).
        pubsub_emulator_host: gRPC address of a local Pub/Sub (`PUBSUB_EMULATOR_HOST`).
        s3_endpoint_url: address of a local S3 (`AWS_ENDPOINT_URL_S3`).
        gcs_emulator_host: address of a local Cloud Storage (`STORAGE_EMULATOR_HOST`).
    """

    model_config = SettingsConfigDict(
        env_prefix="MILLRACE_", frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True
    )

    environment: Literal["local", "dev", "staging", "production"] = "local"
    project: str = "millrace-local"
    location: str = "US"
    contracts_path: Path = Path("dbt_project/models/raw")
    audit_dataset: str = "audit"
    subscription_suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "-ingest"
    dead_letter_topic: str = "millrace-dead-letters"
    snapshot_uri: Annotated[str, Field(pattern=r"^(s3|gs|file)://")] = "s3://member-snapshots"
    api_base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_token: BearerToken | None = None
    api_allowed_hosts: tuple[str, ...] = ()
    api_allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    log_format: LogFormat = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    bigquery_emulator_host: str | None = _alias(
        validation_alias=AliasChoices("BIGQUERY_EMULATOR_HOST", "bigquery_emulator_host")
    )
    bigquery_storage_emulator_host: str | None = _alias(
        validation_alias=AliasChoices("BIGQUERY_STORAGE_EMULATOR_HOST", "bigquery_storage_emulator_host")
    )
    pubsub_emulator_host: str | None = _alias(
        validation_alias=AliasChoices("PUBSUB_EMULATOR_HOST", "pubsub_emulator_host")
    )
    s3_endpoint_url: str | None = _alias(validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "s3_endpoint_url"))
    gcs_emulator_host: str | None = _alias(validation_alias=AliasChoices("STORAGE_EMULATOR_HOST", "gcs_emulator_host"))

    @field_validator("project")
    @classmethod
    def _check_project(cls, value: str) -> str:
        try:
            return check_project(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    @field_validator("audit_dataset")
    @classmethod
    def _check_dataset(cls, value: str) -> str:
        try:
            return check_name(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment above the file named by `MILLRACE_CONFIG`."""
        del dotenv_settings, file_secret_settings
        path = os.environ.get(CONFIG_VARIABLE)
        file = (YamlConfigSettingsSource(settings_cls, yaml_file=path),) if path else ()
        return (init_settings, env_settings, *file)


def load_settings() -> Settings:
    """Read the settings of this process.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when a setting is wrong or the file cannot be read; each fault is named on a line
            of its own, without the value, which may be a secret.
    """
    path = os.environ.get(CONFIG_VARIABLE)
    if path:
        _check_file(Path(path))
    try:
        settings = Settings()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("settings are not valid:\n  " + "\n  ".join(faults)) from error
    _refuse_stand_ins(settings)
    return settings


def _check_file(path: Path) -> None:
    """Refuse what pydantic-settings would pass over in silence or fail on without naming the file."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {path}, which cannot be read as YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: must hold settings as `name: value` lines")


def _refuse_stand_ins(settings: Settings) -> None:
    """Keep a forgotten emulator variable from swallowing production data."""
    if settings.environment not in ("staging", "production"):
        return
    stand_ins = {
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host,
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host,
        "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator_host,
        "STORAGE_EMULATOR_HOST": settings.gcs_emulator_host,
    }
    left = sorted(name for name, value in stand_ins.items() if value)
    if left:
        raise ConfigurationError(
            f"environment is {settings.environment!r} but {', '.join(left)} is set; unset it to reach the real service"
        )
