"""The end of a run: thresholds applied, reports written, the audit trail kept, and those told who want to be."""

import platform
import uuid
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path

import duckdb
import pyarrow as pa

from reconcile.alerts import tell
from reconcile.audit import append_run
from reconcile.config import ReconcileConfig
from reconcile.gates import decided
from reconcile.policy import Partition, Thresholds
from reconcile.report.files import write_reports
from reconcile.result import RunResult, Versions
from reconcile.sources.services import Services


def conclude(
    config: ReconcileConfig, services: Services, result: RunResult, *, output: Path | None, audit: bool
) -> RunResult:
    """Decide whether a run passes, and keep and tell what came of it.

    Args:
        config: the configuration.
        services: where the audit dataset is.
        result: what was found, as yet without decisions.
        output: an existing folder for the reports; None to write none.
        audit: whether to append to the audit trail.

    Returns:
        The run with its decisions.

    Raises:
        UnavailableError: when the audit rows cannot be written, or nobody could be told; the reports are by then.
    """
    found = decided(result, thresholds_of(config))
    if output is not None:
        write_reports(found, output)
    if audit:
        append_run(services.bigquery(), services.settings, found)
    tell(config.alert, found)
    return found


def thresholds_of(config: ReconcileConfig) -> Mapping[str, Thresholds]:
    """Return the thresholds by comparison.

    Args:
        config: the configuration.
    """
    chosen = {found.name: found.thresholds or config.defaults.thresholds for found in config.comparisons}
    return {name: thresholds for name, thresholds in chosen.items() if thresholds is not None}


def partitions_of(config: ReconcileConfig) -> Mapping[str, Partition]:
    """Return by what the comparisons' counts are broken down.

    Args:
        config: the configuration.
    """
    return {found.name: found.partition for found in config.comparisons if found.partition is not None}


def new_run_id(started_at: datetime) -> str:
    """Return a unique name for a run.

    Args:
        started_at: when it began (UTC).
    """
    return f"{started_at:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def made_with() -> Versions:
    """Return the versions of what makes a result."""
    try:
        ours = metadata.version("millrace")
    except metadata.PackageNotFoundError:
        ours = "uninstalled"
    return Versions(millrace=ours, duckdb=duckdb.__version__, pyarrow=pa.__version__, python=platform.python_version())
