"""Run Millrace's own commands as a user would: as processes, by their exit codes and their JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import MillraceError

_TAIL_CHARACTERS = 4000


def command_line(name: str, arguments: Sequence[str]) -> list[str]:
    """Return the argument vector of a command installed beside this interpreter.

    Args:
        name: the command, such as `ingest`.
        arguments: its arguments.

    Returns:
        The vector, the command with its full path.
    """
    return [str(Path(sys.executable).with_name(name)), *arguments]


def run_program(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run any program in the foreground, those installed beside this interpreter first.

    Args:
        program: name or path of the program.
        arguments: its arguments.
        environment: variables set on top of this process's own.

    Returns:
        Its exit code; 127 when there is no such program, as shells have it.
    """
    own = Path(sys.executable).with_name(program)
    try:
        return subprocess.run(  # noqa: S603 - the user's own command
            [str(own) if own.is_file() else program, *arguments], env={**os.environ, **environment}, check=False
        ).returncode
    except FileNotFoundError:
        print(f"{program}: no such program", file=sys.stderr)
        return 127


def run_json(
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    accepted: Collection[int] = (0,),
) -> Any:
    """Run a command with `--json` to its end and return what it printed.

    Args:
        name: the command.
        arguments: its arguments; `--json` is added.
        environment: variables set on top of this process's own.
        log: file that the command's standard error is appended to.
        accepted: exit codes that are no failure.

    Returns:
        The JSON document on its standard output.

    Raises:
        MillraceError: when it ends with another code, or prints something else than JSON.
    """
    output = run_text(name, [*arguments, "--json"], environment, log, accepted)
    try:
        return json.loads(output)
    except json.JSONDecodeError as error:
        last_words = log.read_text(errors="replace").strip()[-_TAIL_CHARACTERS:]
        raise MillraceError(
            f"`{name} {' '.join(arguments)}` printed {output[:200]!r} instead of JSON:\n{last_words}"
        ) from error


def run_text(
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    accepted: Collection[int] = (0,),
) -> str:
    """Run a command to its end and return its standard output.

    Args:
        name: the command.
        arguments: its arguments.
        environment: variables set on top of this process's own.
        log: file that the command's standard error is appended to.
        accepted: exit codes that are no failure.

    Returns:
        What it printed.

    Raises:
        MillraceError: when it ends with another code; the message ends with its last words.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = log.stat().st_size if log.exists() else 0
    with log.open("ab") as errors:
        result = subprocess.run(  # noqa: S603 - our own commands
            command_line(name, arguments),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
    output = result.stdout.decode(errors="replace")
    if result.returncode not in accepted:
        said = log.read_bytes()[start:].decode(errors="replace") + output
        raise MillraceError(
            f"`{name} {' '.join(arguments)}` ended with code {result.returncode}:\n{said.strip()[-_TAIL_CHARACTERS:]}"
        )
    return output
