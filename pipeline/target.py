"""Where dbt builds: the profile's target, and whether what it needs is there."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import UnavailableError
from core.settings import Settings
from core.stand_ins import BIGQUERY, FIX, check_stand_ins
from pipeline.dbt_project import DbtSettings


def dbt_settings(
    settings: Settings, target: str | None, state: Path, variables: Mapping[str, Any] | None = None
) -> DbtSettings:
    """Return how dbt is run by a command.

    Args:
        settings: where everything is.
        target: target of the profile; the environment's name by default. dbt's own default is the profile's first.
        state: folder of locks, history and logs.
        variables: dbt variables to use instead of the project's own.

    Returns:
        The settings; profiles come from `DBT_PROFILES_DIR`, else from the folder `profiles`.
    """
    return DbtSettings(
        profiles_dir=Path(os.environ.get("DBT_PROFILES_DIR", "profiles")),
        target=target or settings.environment,
        log_path=state / "logs",
        variables=variables or {},
    )


def check_warehouse(settings: Settings, target: str | None) -> None:
    """Tell of a local stack that is not there, which dbt would call a refused connection.

    Args:
        settings: where everything is.
        target: target of the profile; the environment's name by default.

    Raises:
        UnavailableError: when the target is local and no local warehouse answers.
    """
    if (target or settings.environment) != "local":
        return
    if settings.bigquery_emulator_host is None:
        raise UnavailableError(f"the local target needs a local warehouse, and {BIGQUERY} is not set: {FIX}")
    check_stand_ins(settings, (BIGQUERY,))
