"""The files of a report: `report.json`, `report.html`, `report.junit.xml`, and all differences as Parquet."""

from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigurationError, UnreadableError
from reconcile.report.junit import junit
from reconcile.report.page import render
from reconcile.result import SCHEMA_VERSION, RunResult

JSON_NAME: Final = "report.json"
HTML_NAME: Final = "report.html"
JUNIT_NAME: Final = "report.junit.xml"
DIFFERENCES: Final = "differences"
OWNER_ALONE: Final = 0o600
"""Mode of the files of differences: their keys may be personal, and with `--values` everything in them."""


def prepare_output(folder: Path) -> None:
    """Make the folder and clear what an earlier run left, so that nothing stale stands beside the new.

    Args:
        folder: where the reports go.

    Raises:
        ConfigurationError: when it cannot be written to.
    """
    try:
        (folder / DIFFERENCES).mkdir(parents=True, exist_ok=True)
        for stale in (*folder.glob("report.*"), *(folder / DIFFERENCES).glob("*.parquet")):
            stale.unlink()
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be written to: {error.strerror}; name another --output") from error


def write_reports(result: RunResult, folder: Path) -> None:
    """Write `report.json`, `report.html` and `report.junit.xml`.

    Args:
        result: the run.
        folder: an existing folder.
    """
    (folder / JSON_NAME).write_bytes(to_json(result))
    (folder / HTML_NAME).write_text(render(result), encoding="utf-8")
    (folder / JUNIT_NAME).write_bytes(junit(result))


def to_json(result: RunResult) -> bytes:
    """Return a result as JSON, indented; the schema is `reconcile.result.RunResult`.

    Args:
        result: the run.

    Returns:
        UTF-8 text.
    """
    return msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"


def read_json(path: Path) -> RunResult:
    """Read a `report.json`.

    Args:
        path: the file, or the folder it is in.

    Returns:
        The run.

    Raises:
        UnreadableError: when it is not there, not a report, or of another version.
    """
    file = path / JSON_NAME if path.is_dir() else path
    try:
        data = file.read_bytes()
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise UnreadableError(f"{file}: is of version {version}; this program reads version {SCHEMA_VERSION}")
        return msgspec.json.decode(data, type=RunResult)
    except OSError as error:
        raise UnreadableError(f"{file}: cannot be read: {error.strerror}; make one with `reconcile run`") from error
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"{file}: is not a report: {error}") from error


class _Versioned(msgspec.Struct):
    schema_version: int
