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
from devstack.commands import run_program
from devstack.stack import DEFAULT_FOLDER

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
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


@app.command(name="run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_command(context: typer.Context, folder: Folder = DEFAULT_FOLDER) -> None:
    """Run a command against the stack; when none runs, one is started for it and stopped afterwards.

    Example: `devstack run -- ingest setup`
    """
    if not context.args:
        raise typer.BadParameter("give a command, such as: devstack run -- ingest setup")
    program, *arguments = context.args
    with stack.running_stack(folder) as running:
        code = run_program(program, arguments, running.environment())
    raise typer.Exit(code)


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


@app.command()
def demo(
    *,
    members: Annotated[int, typer.Option(min=100, help="Members who ever join.")] = 20_000,
    events: Annotated[int, typer.Option(min=1_000, help="Changes at the source, over all increments.")] = 200_000,
    increments: Annotated[int, typer.Option(min=1, help="Rounds of publishing, ingesting and building.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed sends the same bytes.")] = 7,
    folder: Annotated[Path, typer.Option("--folder", help="Where everything is written.")] = Path("build/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole river on local stand-ins and prove it; exit 1 unless everything holds.

    Example: `devstack demo --members 2000 --events 20000 --keep`
    """
    from devstack.demo.run import DemoOptions, run_demo
    from devstack.demo.view import show

    options = DemoOptions(members=members, events=events, increments=increments, seed=seed, folder=folder, keep=keep)
    summary = run_demo(options, Console(stderr=as_json, highlight=False))
    if as_json:
        print(json.dumps(summary.to_json(), indent=2))
    else:
        show(summary, Console(highlight=False))
    if summary.faults():
        raise typer.Exit(1)


@app.command()
def live(
    *,
    transactions: Annotated[int, typer.Option(min=2, help="Transactions of each connection, in each round.")] = 100,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Concurrent connections.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the random choices.")] = 7,
    folder: Annotated[Path, typer.Option("--folder", help="Where everything is written.")] = Path("build/live"),
) -> None:
    """Capture from a real PostgreSQL with a real Debezium; exit 1 unless structure equals the source.

    Needs the live extra: `make live` installs it and runs this.

    Example: `devstack live --connections 8`
    """
    from devstack.live.run import LiveOptions, run_live

    options = LiveOptions(transactions=transactions, connections=connections, seed=seed, folder=folder)
    console = Console(highlight=False)
    summary = run_live(options, console)
    console.print(
        f"\n{summary.events:,} events captured from {summary.source_rows:,} remaining rows; "
        f"{summary.tables_equal} of {summary.tables_compared} tables equal the source"
    )
    for fault in summary.faults():
        console.print(f"  [red]✗[/] {fault}")
    if summary.faults():
        raise typer.Exit(1)


@app.command()
def docs(
    folder: Annotated[Path, typer.Option("--folder", help="Folder of the throw-away stack.")] = Path(
        "build/docs-stack"
    ),
) -> None:
    """Generate the dbt docs, with columns and lineage, and the reference of our commands.

    Example: `devstack docs`
    """
    from devstack.docs import generate_docs_on_empty_zones, write_reference

    for page in write_reference():
        print(page)
    print(generate_docs_on_empty_zones(folder))


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
