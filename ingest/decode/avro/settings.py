"""Where Avro's schemas come from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError
from core.secrets import BearerToken, Password


class AvroSettings(BaseSettings):
    """Settings of tables with `encoding: avro`, read from `MILLRACE_INGEST_<NAME>`.

    Attributes:
        schema_registry_url: base address of the schema registry, for messages that name their schema by its number.
        schema_registry_user: user name at the registry, which then wants basic authentication.
        schema_registry_password: the user's password; never printed.
        schema_registry_token: bearer token at the registry, visible ASCII, instead of a user; never printed.
        schema_registry_timeout_s: how long the registry may take to answer, in seconds; decoding waits for it.
        schema_registry_schemas: schemas kept in memory per table.
        avro_schemas_path: folder of `.avsc` files, for messages that name their schema by its fingerprint.
    """

    model_config = SettingsConfigDict(
        env_prefix="MILLRACE_INGEST_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    schema_registry_url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s]*)?$")] | None = None
    schema_registry_user: str | None = None
    schema_registry_password: Password | None = None
    schema_registry_token: BearerToken | None = None
    schema_registry_timeout_s: Annotated[float, Field(gt=0, le=30)] = 2.0
    schema_registry_schemas: Annotated[int, Field(ge=1)] = 256
    avro_schemas_path: Path | None = None


def load_avro_settings() -> AvroSettings:
    """Read the settings of this process.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when one is wrong.
    """
    try:
        return AvroSettings()
    except ValidationError as error:
        faults = [
            f"MILLRACE_INGEST_{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()
        ]
        raise ConfigurationError("settings of Avro are not valid:\n  " + "\n  ".join(faults)) from error
