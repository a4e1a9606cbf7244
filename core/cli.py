"""What all our commands share: exit codes, and errors told without a stack trace.

Exit 0 is success, 1 a failure that the message explains, 2 a wrong use of the command (click's own code): an option, a
setting, a contract or a configuration file is wrong, and nothing was tried.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console

from core.errors import ConfigurationError, CredentialsError, MillraceError, UsageError

FAILURE: Final = 1
WRONG_USE: Final = 2


def run(app: typer.Typer, name: str) -> None:
    """Run a typer application as a command of ours, then exit.

    Args:
        app: the application.
        name: the command's name, for usage and errors.

    Raises:
        SystemExit: always, with the command's exit code.
    """
    _guarded(lambda: app(prog_name=name), name)


@contextmanager
def usage() -> Iterator[None]:
    """Count a configuration error as wrong use, for what a command reads before it does anything.

    Yields:
        Nothing.

    Raises:
        UsageError: in place of a `ConfigurationError`; missing credentials stay what they are, for they are no fault of
            what was written.
    """
    try:
        yield
    except (CredentialsError, UsageError):
        raise
    except ConfigurationError as error:
        raise UsageError(str(error)) from error


def shown(text: str, keep: str = "") -> str:
    """Return a text from elsewhere as a terminal may print it: without characters that would steer it.

    Args:
        text: what somebody else wrote.
        keep: control characters that do no harm here.

    Returns:
        The text, with everything else that has no glyph as Python escapes it.
    """
    return "".join(one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text)


def _guarded(command: Callable[[], object], name: str) -> None:
    try:
        command()
    except MillraceError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]{name}:[/] ", end="")
        print(error, file=sys.stderr)
        raise SystemExit(WRONG_USE if isinstance(error, UsageError) else FAILURE) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
