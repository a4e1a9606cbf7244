"""What all our commands share: exit codes, and errors told without a stack trace.

Exit 0 is success, 1 a failure that the message explains, 2 a wrong use of the command (click's own code).
"""

import sys
from collections.abc import Callable

import typer
from rich.console import Console

from core.errors import MillraceError


def run(app: typer.Typer, name: str) -> None:
    """Run a typer application as a command of ours, then exit.

    Args:
        app: the application.
        name: the command's name, for usage and errors.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    _guarded(lambda: app(prog_name=name), name)


def _guarded(command: Callable[[], object], name: str) -> None:
    try:
        command()
    except MillraceError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]{name}:[/] ", end="")
        print(error, file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
