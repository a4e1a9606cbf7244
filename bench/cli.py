"""The command: `python -m bench [NAME ...]`."""

import json as json_text
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from core.cli import run as run_app
from core.clock import utc_now
from core.logs import configure_logs

NAMES: Final = ("decode", "pull", "append", "ingest", "reconcile", "warehouse")
"""The benchmarks, each a module with a function `run(conditions)`; from the smallest part to the whole."""

_OUTPUT: Final = Path("build/bench")
_LOG_WIDTH: Final = 120

app = typer.Typer(add_completion=False)


def _known(names: list[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return [name for name in NAMES if not names or name in names]


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", callback=_known, help=f"Of {', '.join(NAMES)}; all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only see that they run: little data, one round.")] = False,
    repeat: Annotated[int, typer.Option(min=1, max=99, help="Rounds; the median counts.")] = 5,
    output: Annotated[Path, typer.Option(help="Folder for <name>.json.")] = _OUTPUT,
) -> None:
    """Measure the river against the stock clients and against the floor, in CPU seconds.

    Examples:
        python -m bench

        python -m bench pull decode --repeat 9

        python -m bench --quick --json
    """
    configure_logs("console", "WARNING")
    console = _console(stderr=json)
    documents = []
    for found in _measure(names or [], 1 if quick else repeat, quick=quick, console=console):
        from bench.report import write

        write(found, output)
        documents.append(found)
    if json:
        typer.echo(json_text.dumps(documents, indent=2))
    else:
        console.print(f"[dim]{output}: {', '.join(found['name'] + '.json' for found in documents)}[/]")


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, soft_wrap=True)
    # In a log or a pipe, rich would fold the table to 80 columns.
    return console if console.is_terminal else Console(stderr=stderr, soft_wrap=True, width=_LOG_WIDTH)


def _measure(names: list[str], rounds: int, *, quick: bool, console: Console) -> Iterator[dict[str, Any]]:
    from bench.conditions import Conditions
    from bench.report import document, show
    from bench.result import Result
    from bench.stand_ins import StandIns

    with StandIns() as stand_ins, tempfile.TemporaryDirectory(prefix="millrace-bench-") as scratch:
        for name in names:
            started_at, began = utc_now(), time.monotonic()
            with console.status(f"measuring {name}"):
                run: Callable[[Conditions], Result] = import_module(f"bench.{name}").run
                folder = Path(scratch, name)
                folder.mkdir()
                result = run(Conditions(rounds, quick, stand_ins, folder))
            show(result, console)
            seconds = round(time.monotonic() - began, 1)
            yield document(result, started_at, {"quick": quick, "rounds": rounds, "seconds": seconds})


def main() -> None:
    """Run the command line."""
    run_app(app, "python -m bench")
