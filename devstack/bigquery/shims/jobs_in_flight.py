"""Runs a job once, though it was sent twice.

BigQuery answers `jobs.insert` at once, and whoever asks again for a job that runs is told so. The emulator answers when
the statement has ended, which may be later than a client waits: dbt's sends the request again after a minute, under
the same id. That one waits here for the statement that is running.

Source: BigQuery REST, "jobs.insert", `jobReference.jobId`; dbt-bigquery's profile, `job_creation_timeout_seconds`.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import bqemulator.api.routes.jobs as job_routes


def apply() -> None:
    """Put the look for a job that runs in front of every query job."""
    handle = job_routes._handle_query_job  # noqa: SLF001
    running: dict[tuple[int, str, str], asyncio.Task[Any]] = {}

    @functools.wraps(handle)
    async def handle_once(project_id: str, job_id: str, config: dict[str, Any], *, ctx: Any, **options: Any) -> Any:
        key = id(ctx), project_id, job_id
        job = running.get(key)
        if job is None:
            job = running[key] = asyncio.create_task(handle(project_id, job_id, config, ctx=ctx, **options))
            job.add_done_callback(lambda _: running.pop(key))
        # whoever asks may go away; the statement goes on
        return await asyncio.shield(job)

    job_routes._handle_query_job = handle_once  # noqa: SLF001
