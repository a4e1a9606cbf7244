"""Exporting dead letters as newline-delimited JSON, their bodies in base64.

A file is written beside its place and moved there once it is whole; what a broken export has left goes on where it
stopped. An object is written from such a file, in one piece.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

import msgspec

from core.errors import ConfigurationError, UnreadableError
from core.objects import file_error, open_objects, split_uri
from core.retry import RetryPolicy, retrying
from core.settings import Settings
from ingest.dead_letters.archive import Archive, Letter
from ingest.dead_letters.filters import Filters

PART_SUFFIX: Final = ".part"

_BUCKETS: Final = ("s3://", "gs://")


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote.

    Attributes:
        target: the file or object.
        letters: lines of it.
        resumed: those of them that an earlier, broken export had written.
        bytes: its length.
        unreadable: message ids of letters whose body cannot be read; their lines have `data` null.
    """

    target: str
    letters: int
    resumed: int
    bytes: int
    unreadable: dict[str, str]


class _Line(msgspec.Struct):
    """What must be read back of a line to go on after it."""

    event_id: str
    topic: str


def export(
    archive: Archive,
    settings: Settings,
    target: str,
    filters: Filters,
    report: Callable[[int], None],
) -> Exported:
    """Write dead letters to a file or an object.

    Args:
        archive: the dead letters.
        settings: where object storage is.
        target: a path, or a URI that begins with `s3://`, `gs://` or `file://`; a file must not be there yet.
        filters: which letters are meant.
        report: told how many letters were written, one by one.

    Returns:
        What was written.

    Raises:
        ConfigurationError: when the target names no place, cannot be written to, or is there already.
        UnavailableError: when the disk is full or a service does not answer; a file goes on from there next time.
    """
    check_target(target)
    if not target.startswith(_BUCKETS):
        path = _path(target)
        if path.exists():
            raise ConfigurationError(f"{path} is there already; remove it, or choose another name")
        return _to_file(archive, path, filters, report)
    folder, name = split_uri(target)
    store = open_objects(folder, settings)
    with tempfile.TemporaryDirectory(prefix="millrace-export-") as staging:
        path = Path(staging) / "letters.ndjson"
        written = _to_file(archive, path, filters, report)
        retrying(RetryPolicy(), "write of the export")(store.put_file, name, path)
    return msgspec.structs.replace(written, target=target)


def check_target(target: str) -> None:
    """Make sure that a target is meant as one, before anything is read.

    Args:
        target: see `export`.

    Raises:
        ConfigurationError: when it is empty, or an address of another kind.
    """
    if target.startswith(_BUCKETS):
        split_uri(target)
        return
    parts = urlsplit(target)
    is_absolute = parts.netloc == "" and parts.path.startswith("/") and target.startswith("file://")
    is_address = "://" in target or parts.scheme == "file"
    if not target or (is_address and not is_absolute):
        raise ConfigurationError(
            f"{target!r} names no place: write a path, file:///folder/name, s3://bucket/name or gs://bucket/name"
        )
    if _path(target).is_dir():
        raise ConfigurationError(f"{target!r} is a folder: name a file in it")


def _path(target: str) -> Path:
    return Path(unquote(urlsplit(target).path) if target.startswith("file://") else target)


def _to_file(archive: Archive, path: Path, filters: Filters, report: Callable[[int], None]) -> Exported:
    part = path.with_name(path.name + PART_SUFFIX)
    unreadable: dict[str, str] = {}
    letters = 0
    totals = archive.totals(filters)
    try:
        with _open_private(part) as file:
            done = _resume(file, part)
            for page in archive.letters(filters, totals.largest_bytes):
                for letter in page:
                    if (letter.topic, letter.event_id) not in done:
                        file.write(_line(archive, letter, unreadable))
                        letters += 1
                    report(1)
            file.flush()
            size = file.tell()
        part.replace(path)
    except OSError as error:
        raise file_error(path, error) from error
    return Exported(str(path), letters + len(done), len(done), size, unreadable)


def _open_private(path: Path) -> BinaryIO:
    """Open a file for reading and appending that only this user may read."""
    path.touch(mode=0o600)
    return path.open("r+b")


def _resume(file: BinaryIO, path: Path) -> set[tuple[str, str]]:
    """Return the letters that a broken export has written whole, and cut off what it has not."""
    done: set[tuple[str, str]] = set()
    end = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        try:
            read = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{path} is no export that broke off: {error}; remove it") from error
        done.add((read.topic, read.event_id))
        end += len(line)
    file.seek(end)
    file.truncate()
    return done


def _line(archive: Archive, letter: Letter, unreadable: dict[str, str]) -> bytes:
    return msgspec.json.encode(described(archive, letter, unreadable)) + b"\n"


def described(archive: Archive, letter: Letter, unreadable: dict[str, str]) -> dict[str, Any]:
    """Return a letter with its body, as a line of an export holds it.

    Args:
        archive: reads the body.
        letter: which one.
        unreadable: takes note of a body that cannot be read.

    Returns:
        Names and values; `data` is bytes, which JSON encodes in base64, or None when it cannot be read.
    """
    values = msgspec.structs.asdict(letter)
    try:
        values["data"] = archive.body(letter)
    except UnreadableError as error:
        unreadable[letter.event_id] = str(error)
        values["data"] = None
    return values
