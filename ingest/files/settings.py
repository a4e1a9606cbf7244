"""Where files lie and how they are found."""

from typing import Annotated, Final, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError
from ingest.settings import LONGEST_S

_PREFIX: Final = "MILLRACE_INGEST_FILES_"


class FilesSettings(BaseSettings):
    """Settings of the files transport, read from `MILLRACE_INGEST_FILES_<NAME>`.

    Attributes:
        uri: the place below which the contracts' `files` patterns count: `gs://bucket/prefix`, `s3://bucket/prefix` or
            `file:///folder`.
        notification_topic: Pub/Sub topic of the bucket's notifications, short name; its subscription is the topic's
            name and the subscription suffix. None to list the place instead.
        list_s: time between two listings, in seconds.
        quiet_s: how long a file of this machine must not have changed before it is taken for whole, in seconds.
        concurrency: objects read at once, of different tables; those of one table are read one after the other.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    uri: Annotated[str, Field(pattern=r"^((s3|gs)://[^/]|file:///)")]
    notification_topic: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$")] | None = None
    list_s: Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)] = 30.0
    quiet_s: Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)] = 5.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.notification_topic is not None and not self.uri.startswith("gs://"):
            raise ValueError(
                "notification_topic is set: only Cloud Storage sends notifications, so uri must be gs://.."
            )
        return self


def load_files_settings() -> FilesSettings:
    """Read the settings of the files transport.

    Returns:
        The settings, every one checked.

    Raises:
        ConfigurationError: when one is wrong or missing; each fault is named on a line of its own.
    """
    try:
        return FilesSettings()
    except ValidationError as error:
        faults = [f"{_PREFIX}{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError("files settings are not valid:\n  " + "\n  ".join(faults)) from error
