"""Whether every `MILLRACE_*` variable is one that somebody reads: a misspelt setting is otherwise no setting at all."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from pydantic_settings import BaseSettings

from core.errors import ConfigurationError
from core.settings import CONFIG_VARIABLE, Settings
from ingest.failpoints import VARIABLE as FAILPOINT_VARIABLE
from ingest.http.settings import HttpSettings
from ingest.settings import IngestSettings

_PREFIX: Final = "MILLRACE_"
_OURS: Final = "MILLRACE_INGEST_"
_OF_OTHERS: Final = ("MILLRACE_PIPELINE_", "MILLRACE_PRIVACY_", "MILLRACE_RECONCILE_")
"""What the other commands and dbt read from the same environment; what stands there is theirs to judge."""

_LIKENESS: Final = 0.8
"""From which a name counts as another misspelt, by the ratio of `difflib.SequenceMatcher`."""


def check_names(environ: Iterable[str]) -> None:
    """Refuse variables that are settings but for their spelling.

    Below `MILLRACE_INGEST_` every name must be a setting. Of the others only those are refused that resemble one: the
    environment may be shared with commands whose configuration names variables of its own.

    Args:
        environ: names of the process's environment variables, in any case, as settings are read.

    Raises:
        ConfigurationError: when there are any; each is named on a line of its own with the nearest setting, and no
            value is shown.
    """
    known = known_names()
    faults = [fault for name in sorted(environ) if (fault := _fault(name, known))]
    if faults:
        raise ConfigurationError("there are no such settings:\n  " + "\n  ".join(faults))


def known_names() -> frozenset[str]:
    """Return the names of all variables beginning with `MILLRACE_` that the ingester reads."""
    # Each of these stands with the part it configures.
    from ingest.decode.avro.settings import AvroSettings
    from ingest.files.settings import FilesSettings
    from ingest.kafka.settings import KafkaSettings
    from ingest.push.settings import PushSettings

    parts: tuple[type[BaseSettings], ...] = (
        Settings, IngestSettings, HttpSettings, AvroSettings, FilesSettings, KafkaSettings, PushSettings,
    )  # fmt: skip
    fields = {f"{part.model_config['env_prefix']}{name}".upper() for part in parts for name in part.model_fields}
    return frozenset({*fields, CONFIG_VARIABLE, FAILPOINT_VARIABLE})


def _fault(name: str, known: frozenset[str]) -> str | None:
    upper = name.upper()
    if not upper.startswith(_PREFIX) or upper in known or upper.startswith(_OF_OTHERS):
        return None
    # Without what all of them begin with, which would make any two alike.
    endings = {one.removeprefix(_PREFIX): one for one in sorted(known)}
    near = get_close_matches(upper.removeprefix(_PREFIX), endings, n=1, cutoff=_LIKENESS)
    if near:
        return f"{name}: did you mean {endings[near[0]]}?"
    return f"{name}: unset it; `docs/guides/ingest.md` lists the settings" if upper.startswith(_OURS) else None
