"""Send the lineage of a build to wherever OpenLineage is configured to send it.

Configured the way every OpenLineage integration is, `dbt-ol` among them: by `OPENLINEAGE_URL`, by variables that begin
with `OPENLINEAGE__TRANSPORT`, or by a file `openlineage.yml` (https://openlineage.io/docs/client/python/configuration).
A process without any of them sends nothing.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from core.errors import ConfigurationError
from pipeline.dbt_project import DbtArtifacts
from pipeline.results import ZoneResult

if TYPE_CHECKING:
    from openlineage.client.client import OpenLineageClient

_log = structlog.get_logger(__name__)

_FLUSH: Final = timedelta(seconds=30)
# The namespace that dbt-ol uses too, so that a zone built by hand is the same job.
_NAMESPACE: Final = "dbt"
_FIX: Final = "see docs/guides/lineage.md, or unset the OPENLINEAGE_ variables"


@dataclass(frozen=True)
class Lineage:
    """Sends lineage; `lineage_from_environment` makes one.

    Attributes:
        client: what sends an event, by whichever transport.
        namespace: OpenLineage namespace of the jobs.
    """

    client: "OpenLineageClient"
    namespace: str

    def send(self, zone: ZoneResult, artifacts: DbtArtifacts | None, run_id: str) -> None:
        """Send what a build of a zone read and wrote; a transport that fails is logged, and fails no build.

        Args:
            zone: what came of it.
            artifacts: what dbt leaves of it.
            run_id: the run of the pipeline that it belongs to, a UUID in hexadecimal digits.
        """
        from pipeline.lineage.events import zone_events

        # What fails stops the rest: each event of a backend that is down would wait for the same time-out.
        sent = 0
        try:
            for event in zone_events(zone, artifacts, self.namespace, uuid.UUID(run_id)):
                self.client.emit(event)
                sent += 1
        except Exception as error:  # noqa: BLE001 - transports raise what their libraries do, and none may fail a build
            _log.warning("lineage not sent", zone=zone.zone, run_id=run_id, events=sent, reason=str(error))
            return
        _log.info("lineage sent", zone=zone.zone, run_id=run_id, events=sent)


@contextmanager
def lineage_from_environment() -> Iterator[Lineage | None]:
    """Open what sends lineage, when OpenLineage is configured.

    At the end it waits until what a transport sends in the background is sent, for 30 s at most.

    Yields:
        The sender; None when nothing says where to, or `OPENLINEAGE_DISABLED` is true.

    Raises:
        ConfigurationError: when the configuration names no transport, or one that cannot be made.
    """
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true" or not _is_configured():
        yield None
        return
    # Imported here because it takes half a second, which nobody without lineage should wait for.
    from openlineage.client.client import OpenLineageClient

    try:
        client = OpenLineageClient()
    except (ImportError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"OpenLineage is not configured as it has to be: {error}; {_FIX}") from error
    if client.transport.kind == "console" and (client.config.transport or {}).get("type") != "console":
        raise ConfigurationError(f"OpenLineage is configured, but no transport is named; {_FIX}")
    try:
        yield Lineage(client, os.environ.get("OPENLINEAGE_NAMESPACE", _NAMESPACE))
    finally:
        client.close(timeout=_FLUSH.total_seconds())


def _is_configured() -> bool:
    named = os.environ.get("OPENLINEAGE_CONFIG")
    if named is not None and not Path(named).is_file():
        raise ConfigurationError(f"OPENLINEAGE_CONFIG names {named}, which is no file; {_FIX}")
    files = (Path("openlineage.yml"), Path.home() / ".openlineage/openlineage.yml")
    return (
        named is not None
        or "OPENLINEAGE_URL" in os.environ
        or any(name.startswith("OPENLINEAGE__TRANSPORT") for name in os.environ)
        or any(file.is_file() for file in files)
    )
