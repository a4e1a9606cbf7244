"""Whether and where the ingester serves its status."""

from typing import Annotated, Final

from pydantic import Field, IPvAnyAddress, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError

_PREFIX: Final = "MILLRACE_INGEST_HTTP_"


class HttpSettings(BaseSettings):
    """Settings of the status server, read from `MILLRACE_INGEST_HTTP_<NAME>`.

    Attributes:
        host: address of the interface to listen on; loopback when not set, and every interface on Cloud Run.
        port: port to listen on, 0 for any free one; nothing is served when not set, but for Cloud Run's own port there.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    host: IPvAnyAddress | None = None
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None


def load_http_settings() -> HttpSettings:
    """Read the settings of the status server.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when one is wrong; each fault is named on a line of its own.
    """
    try:
        return HttpSettings()
    except ValidationError as error:
        faults = [f"{_PREFIX}{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("status server settings are not valid:\n  " + "\n  ".join(faults)) from error
