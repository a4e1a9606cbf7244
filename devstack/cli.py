"""The `devstack` command: the local stand-ins, the demo, and the generated docs."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core.cli import run
from devstack import stack
from devstack.stack import DEFAULT_FOLDER

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Run Millrace's local stand-ins: BigQuery, Pub/Sub, S3 and the member API, all on free loopback ports.",
)

Folder = Annotated[Path, typer.Option("--folder", help="Where the stack keeps its state and logs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def up(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Start the stack and keep it running in the background.

    Example: `devstack up && eval "$(devstack env)"`
    """
    stack.up(folder)
    _print_status(folder, as_json)
    if not as_json:
        option = "" if folder == DEFAULT_FOLDER else f" --folder {shlex.quote(str(folder))}"
        print(f'\nPoint your shell at it:  eval "$(devstack env{option})"')


@app.command()
def down(
    folder: Folder = DEFAULT_FOLDER, quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False
) -> None:
    """Stop the stack; what it held in memory is gone.

    Example: `devstack down`
    """
    stopped = stack.down(folder)
    if not quiet:
        print("stopped" if stopped else "nothing was running")


@app.command()
def status(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show each service, its address and how often it was restarted; exit 1 unless all run.

    Example: `devstack status --json`
    """
    _print_status(folder, as_json)
    if not all(row.running for row in stack.status(folder)):
        raise typer.Exit(1)


@app.command()
def reset(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Start the stack afresh, empty.

    Example: `devstack reset`
    """
    stack.down(folder)
    up(folder, as_json)


@app.command()
def env(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Print the variables that point every tool at the stack, for `eval`.

    Example: `eval "$(devstack env)" && dbt build --selector structure`
    """
    variables = stack.require(folder).environment()
    if as_json:
        print(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def doctor(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Check the machine and each service, with a fix per red line; exit 1 when one is red.

    Example: `devstack doctor`
    """
    from core.settings import load_settings
    from devstack.doctor import examine

    checks = examine(folder, load_settings().contracts_path)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table("check", "", "found", "fix", box=None)
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]no[/]"
            table.add_row(check.name, mark, check.detail, "" if check.ok else check.fix)
        Console().print(table)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _print_status(folder: Path, as_json: bool) -> None:
    rows = stack.status(folder)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table("service", "state", "address", "pid", "restarts", box=None)
    for row in rows:
        state = "[green]running[/]" if row.running else "[red]stopped[/]"
        table.add_row(row.title, state, row.address, str(row.pid or ""), str(row.restarts))
    Console(file=sys.stdout).print(table)


def main() -> None:
    """Run the command line."""
    run(app, "devstack")
