"""Options and manners that the subcommands of `reconcile` share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from core.errors import ConfigurationError, CredentialsError

ConfigOption = Annotated[Path, typer.Option("--config", help="What to compare.", dir_okay=False)]
TableOption = Annotated[list[str] | None, typer.Option("--table", help="A comparison to make; give it again for more.")]
AllOption = Annotated[bool, typer.Option("--all", help="Make every comparison; the default.")]
SnapshotOption = Annotated[
    str | None, typer.Option("--snapshot", help="The snapshot's name, instead of the configured one.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


ModeOption = Annotated[
    Literal["auto", "count", "aggregate", "sample", "checksum", "typed"] | None,
    typer.Option("--mode", help="How to compare, instead of the configured modes."),
]
StateOption = Annotated[
    Path, typer.Option("--state", help="Folder for what the next run may use: checksums.", file_okay=False)
]
DEFAULT_STATE: Final = Path("build/reconcile-state")
DEFAULT_OUTPUT: Final = Path("build/reconcile")
OutputOption = Annotated[Path, typer.Option("--output", help="Folder for the reports.", file_okay=False)]
AuditOption = Annotated[bool, typer.Option("--audit/--no-audit", help="Append to the audit trail in BigQuery.")]
ReportArgument = Annotated[Path, typer.Argument(help="A report.json, or the folder it is in.")]
ShardsOption = Annotated[
    str | None,
    typer.Option("--shards", help="What all tasks of a run share: a folder, or s3://bucket/path, gs://bucket/path."),
]
RunIdOption = Annotated[
    str | None,
    typer.Option(
        "--run-id",
        envvar="CLOUD_RUN_EXECUTION",
        help="Name of a run that can be resumed: given again, only the rest is done.",
    ),
]
IndexOption = Annotated[
    int, typer.Option("--task-index", envvar="CLOUD_RUN_TASK_INDEX", min=0, help="This task, from 0.")
]
ShardRowsOption = Annotated[
    int, typer.Option("--shard-rows", min=1_000, help="Rows of a shard at most: what a killed task does again.")
]
CountOption = Annotated[int, typer.Option("--task-count", envvar="CLOUD_RUN_TASK_COUNT", min=1, help="How many tasks.")]


@contextmanager
def usage() -> Iterator[None]:
    """Turn a fault of the configuration into a wrong use, exit 2; what the machine lacks is a failure, exit 1."""
    try:
        yield
    except CredentialsError:
        raise
    except ConfigurationError as error:
        typer.echo(f"reconcile: {error}", err=True)
        raise typer.Exit(2) from error


def console() -> Console:
    """Return a console on standard output."""
    # Lines are left to the terminal to wrap, so that output stays greppable.
    return Console(soft_wrap=True, highlight=False)
