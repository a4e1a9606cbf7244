"""Environments of their own for tools that are measured against, made when missing."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path("build/bench/venvs")
_TIMEOUT_S: Final = 600.0


class NoEnvironmentError(RuntimeError):
    """An environment could not be made, for want of a network or of a package."""


def environment(name: str, requirements: tuple[str, ...], root: Path = _ROOT) -> Path:
    """Return the Python of an environment that holds some packages; made the first time, kept for the next.

    Args:
        name: its name.
        requirements: packages with their versions, as pip takes them.
        root: folder of the environments.

    Returns:
        The interpreter.

    Raises:
        NoEnvironmentError: when it cannot be made; what was begun is removed.
    """
    folder = root / name
    python, installed = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join(requirements)
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted and python.exists():
        return python.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NoEnvironmentError(
            f"no environment for {name} ({', '.join(requirements)}): {_last_line(error)}"
        ) from error
    installed.write_text(wanted, encoding="utf-8")
    return python.absolute()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)


def _last_line(error: Exception) -> str:
    told = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (told or str(error)).strip().splitlines()[-1]
