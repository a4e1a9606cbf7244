"""Build one zone of the warehouse: lock it, run dbt over it, count what came of it."""

import time
import uuid
from pathlib import Path
from typing import Final

import structlog

from core.clock import Clock, utc_now
from pipeline.dbt_project import NOTHING, DbtProject
from pipeline.lineage.emit import Lineage
from pipeline.locks import zone_lock
from pipeline.results import ZoneResult, zone_result

_log = structlog.get_logger(__name__)

LOCK_FOLDER: Final = Path("build/pipeline/locks")


def build(
    zone: str,
    project: DbtProject,
    *,
    selector: str | None = None,
    full_refresh: bool = False,
    freshness: bool = False,
    locks: Path = LOCK_FOLDER,
    run_id: str | None = None,
    clock: Clock = utc_now,
    lineage: Lineage | None = None,
) -> ZoneResult:
    """Build the models of a zone and run their tests.

    Args:
        zone: name of the zone.
        project: the dbt project; give the same one for every zone, since it keeps its parsed manifest.
        selector: dbt selector of the zone; the zone's own name by default.
        full_refresh: whether incremental models are built anew.
        freshness: whether to ask afterwards how fresh every source is; a stale one fails the zone.
        locks: folder of the locks that keep two runs of a zone apart.
        run_id: run of the pipeline this belongs to; a new one by default.
        clock: what time it is.
        lineage: gets what the build read and wrote; None for nobody.

    Returns:
        What came of it. Failing models and tests are part of the result, not errors.

    Raises:
        LockedError: when another run builds this zone; the message says who.
        ConfigurationError: when the dbt project or its profile is not valid.

    Example:
        >>> project = DbtProject(DbtSettings(target="local"))  # doctest: +SKIP
        >>> [build(zone, project).status for zone in ("structure", "refined")]  # doctest: +SKIP
        ['succeeded', 'succeeded']
    """
    run = run_id or uuid.uuid4().hex
    project.parse()
    with zone_lock(locks, zone, run, clock=clock):
        started_at, started = clock(), time.monotonic()
        outcome = project.build(selector or zone, full_refresh=full_refresh)
        asked = project.freshness() if freshness else NOTHING
        nodes, errors = outcome.nodes + asked.nodes, outcome.errors + asked.errors
        result = zone_result(zone, started_at, time.monotonic() - started, nodes, errors)
    _log_result(result, run)
    if lineage is not None:
        lineage.send(result, outcome.artifacts, run)
    return result


def _log_result(result: ZoneResult, run_id: str) -> None:
    for node in result.nodes:
        if node.outcome == "warning":
            _log.warning("rule warned", zone=result.zone, run_id=run_id, rule=node.name, detail=node.message)
    log = _log.info if result.succeeded else _log.error
    log(
        f"zone {result.status}",
        zone=result.zone,
        run_id=run_id,
        seconds=round(result.seconds, 3),
        models=result.models_built,
        tests=result.tests_passed,
        warned=result.tests_warned,
        **({} if result.succeeded else {"errors": list(result.errors)}),
    )
