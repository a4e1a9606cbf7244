"""`pipeline privacy`: erase a member, and delete what has landed again of those who were erased."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from core.cli import usage
from core.errors import MillraceError
from core.logs import configure_logs
from core.settings import load_settings
from pipeline.config import load_config
from pipeline.dbt_project import DbtProject
from pipeline.locks import zone_lock
from pipeline.target import check_warehouse, dbt_settings

app: Final = typer.Typer(help="Erase members, and keep them erased.", no_args_is_help=True)

TargetOption = Annotated[
    str | None, typer.Option("--target", envvar="DBT_TARGET", help="dbt target; MILLRACE_ENVIRONMENT by default.")
]
ConfigOption = Annotated[Path, typer.Option("--config", help="Zones whose builds are kept waiting.", dir_okay=False)]
StateOption = Annotated[
    Path,
    typer.Option("--state", envvar="MILLRACE_PIPELINE_STATE", help="Folder of locks and logs.", file_okay=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_CONFIG: Final = Path("pipeline.yml")
_STATE: Final = Path("build/pipeline")


@app.command()
def erase(
    member_id: Annotated[int, typer.Argument(min=0, help="Surrogate key of the member; not the number on the card.")],
    *,
    request: Annotated[str, typer.Option("--request", help="Reference of the request; it goes to audit.erasures.")],
    target: TargetOption = None,
    config: ConfigOption = _CONFIG,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Erase a member from every zone, for good. May be run again, and must be when it failed half way.

    No zone is built on this machine meanwhile; see docs/runbooks/erasure.md for what else to do.

    **Example**: `pipeline privacy erase 42 --request DSR-2026-0042`
    """
    _operate("erase_member", {"member_id": member_id, "request": request}, target, config, state, as_json=as_json)


@app.command()
def enforce(
    *,
    target: TargetOption = None,
    config: ConfigOption = _CONFIG,
    state: StateOption = _STATE,
    as_json: JsonOption = False,
) -> None:
    """Delete what has landed again of members who were erased. Schedule it nightly.

    **Example**: `pipeline privacy enforce --json`
    """
    _operate("enforce_erasures", {}, target, config, state, as_json=as_json)


def _operate(
    operation: str, arguments: Mapping[str, Any], target: str | None, config: Path, state: Path, *, as_json: bool
) -> None:
    with usage():
        settings, loaded = load_settings(), load_config(config)
    configure_logs(settings.log_format, settings.log_level)
    check_warehouse(settings, target)
    project, run_id = DbtProject(dbt_settings(settings, target, state)), uuid.uuid4().hex
    project.parse()
    with contextlib.ExitStack() as held:
        # A build that has read before the deletion would write after it.
        for zone in loaded.zones:
            held.enter_context(zone_lock(state / "locks", zone.name, run_id))
        told = project.operate(operation, arguments)
    if told.errors:
        raise MillraceError(f"{operation}: {told.errors[0]}")
    if as_json:
        print(json.dumps({"operation": operation, "run_id": run_id, "messages": told.messages}))
    else:
        print("\n".join(told.messages))
