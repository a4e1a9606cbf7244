"""Who may push, and how much."""

from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError

_PREFIX: Final = "MILLRACE_INGEST_PUSH_"
GOOGLE_CERTIFICATES: Final = "https://www.googleapis.com/oauth2/v1/certs"
_HTTPS_OR_LOOPBACK: Final = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/|$))"


class PushSettings(BaseSettings):
    """Settings of push delivery, read from `MILLRACE_INGEST_PUSH_<NAME>`.

    Attributes:
        audience: the `audience` of the subscriptions' OIDC token, such as the address of the service.
        service_account: e-mail of the account that the subscriptions sign their requests as.
        certificates_url: where the issuer's certificates are; only tests need another than Google's. By https, but for
            this machine: whoever could change the certificates on their way could push whatever they like.
        max_bytes: size of a request at most; Pub/Sub's largest message takes 13.4 MB in base64.
        wait_s: how long a request waits for its row at most, in seconds; it should be less than the subscription's
            acknowledgement deadline, after which Pub/Sub sends the message again.
        retry_after_s: what `Retry-After` says while too much is in flight, in seconds.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    audience: Annotated[str, Field(min_length=1)]
    service_account: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    certificates_url: Annotated[str, Field(pattern=_HTTPS_OR_LOOPBACK)] = GOOGLE_CERTIFICATES
    max_bytes: Annotated[int, Field(ge=1_000)] = 15_000_000
    wait_s: Annotated[float, Field(gt=0, le=600)] = 50.0
    retry_after_s: Annotated[int, Field(ge=1, le=600)] = 1


def load_push_settings() -> PushSettings:
    """Read the settings of push delivery.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when one is wrong or missing; each fault is named on a line of its own.
    """
    try:
        return PushSettings()
    except ValidationError as error:
        faults = [f"{_PREFIX}{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("push settings are not valid:\n  " + "\n  ".join(faults)) from error
