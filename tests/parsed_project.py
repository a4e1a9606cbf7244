"""This dbt project, parsed once for all processes of a test run."""

import copy
import dataclasses
import fcntl
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

ROOT = Path(__file__).parents[1]


def options(folder: Path) -> list[str]:
    """Return the options by which dbt finds this project and writes nowhere else than to `folder`."""
    return [
        *("--project-dir", str(ROOT), "--profiles-dir", str(ROOT / "profiles"), "--target", "local"),
        *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs"), "--log-level", "none"),
    ]


def parsed_project(folder: Path) -> Any:
    """Parse the project, or take up what another process has parsed.

    dbt parses again only what has changed, as long as the variables that its profile reads have not; so it is shown one
    address here, whichever the local BigQuery of the caller has.

    Args:
        folder: where the processes of a run find each other's work.

    Returns:
        The manifest; give dbt copies that `for_one_command` makes.
    """
    with (folder / "dbt-project.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
        patch.setenv("MILLRACE_PROJECT", "millrace-local")
        outcome = dbtRunner().invoke(["parse", "--no-write-json", *options(folder / "dbt-project")])
    assert outcome.success, outcome.exception
    return outcome.result


def for_one_command(manifest: Any) -> Any:
    """Return a copy for dbt to mark: it does while it compiles, and copies of a whole manifest mix up its lookups."""
    return dataclasses.replace(manifest, nodes=copy.deepcopy(manifest.nodes))
