"""The events of a zone's build: the zone's own around those of its models, snapshots and tests."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import job_type_job
from openlineage.client.uuid import generate_new_uuid
from openlineage.common.provider.dbt.facets import ParentRunMetadata
from openlineage.common.provider.dbt.utils import get_parent_run_metadata

from pipeline.dbt_project import DbtArtifacts
from pipeline.lineage.artifacts import PRODUCER, read_events
from pipeline.results import ZoneResult

_JOB: Final = "millrace"


def zone_events(
    zone: ZoneResult, artifacts: DbtArtifacts | None, namespace: str, run_id: uuid.UUID
) -> Iterator[RunEvent]:
    """Yield the events of a build.

    The zone is the job `millrace.<zone>`. Its parent is the run of `pipeline`, or the scheduler's that
    `OPENLINEAGE_PARENT_ID` names: https://openlineage.io/docs/spec/facets/run-facets/parent_run.

    Args:
        zone: what came of it.
        artifacts: what dbt leaves of it; without, only the zone's own events are there.
        namespace: OpenLineage namespace of the jobs.
        run_id: the run of the pipeline that it belongs to.

    Yields:
        The zone's start, what stands in `artifacts`, the zone's end.

    Raises:
        ValueError: when dbt's artifacts are not as the reader knows them.
    """
    name, run = f"{_JOB}.{zone.zone}", str(generate_new_uuid())
    above = get_parent_run_metadata() or ParentRunMetadata(str(run_id), f"{_JOB}.pipeline", namespace)
    root = {
        "root_parent_run_id": above.root_parent_run_id or above.run_id,
        "root_parent_job_name": above.root_parent_job_name or above.job_name,
        "root_parent_job_namespace": above.root_parent_job_namespace or above.job_namespace,
    }

    def event(state: RunState, at: datetime) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=at.astimezone(UTC).isoformat(),
            run=Run(run, {"parent": above.to_openlineage()}),
            job=Job(namespace, name, {"jobType": _job_type()}),
            producer=PRODUCER,
        )

    yield event(RunState.START, zone.started_at)
    if artifacts is not None:
        yield from read_events(artifacts, namespace, ParentRunMetadata(run, name, namespace, **root))
    state = RunState.COMPLETE if zone.succeeded else RunState.FAIL
    yield event(state, zone.started_at + timedelta(seconds=zone.seconds))


def _job_type() -> Any:
    return job_type_job.JobTypeJobFacet(jobType="JOB", integration="DBT", processingType="BATCH", producer=PRODUCER)
