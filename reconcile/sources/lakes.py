"""What Delta and Iceberg share: where their metadata is read from, and their data files, pinned one by one."""

import posixpath
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import boto3

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from core.settings import Settings

_LOOK_UPS: Final = 8
"""Files that are looked up at once."""


@dataclass(frozen=True)
class DataFile:
    """A data file, as the table's metadata names it.

    Attributes:
        path: its path below the table's root.
        size: its length in bytes.
        rows: its rows; None when the metadata does not say.
    """

    path: str
    size: int
    rows: int | None


def pinned(store: ObjectStore, files: Iterable[DataFile]) -> tuple[ObjectRef, ...]:
    """Look up data files, each of which must be there and as long as the metadata says.

    Args:
        store: the table's root.
        files: the files.

    Raises:
        UnreadableError: when one is missing, or is another than the metadata names.
    """

    def look_up(file: DataFile) -> ObjectRef:
        ref = store.look_up(file.path)
        if ref.size != file.size:
            raise UnreadableError(
                f"{ref.uri}: has {ref.size} bytes and the table's metadata says {file.size}; it is not whole"
            )
        return ref

    with ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="reconcile-look-up") as pool:
        return tuple(pool.map(look_up, files))


def all_rows(files: Iterable[DataFile]) -> int | None:
    """Return the rows of data files together; None when the metadata does not say of each.

    Args:
        files: the files.
    """
    counts = [file.rows for file in files]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def below(root: str, uri: str) -> str:
    """Return the path of a file below the root of a table.

    Args:
        root: URI of the root.
        uri: URI of the file.

    Raises:
        UnreadableError: when it lies elsewhere, as files of shallow clones do.
    """
    path = uri.removeprefix(root.rstrip("/") + "/")
    if path == uri or ".." in posixpath.normpath(path).split("/"):
        raise UnreadableError(f"{uri}: lies outside of {root}; such tables cannot be read, make a deep copy")
    return path


def spelled(value: Any) -> str | None:
    """Return the value of a partition column as text that `reconcile.read.text` reads.

    Args:
        value: the value.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def aws_credentials(settings: Settings) -> Mapping[str, str | None]:
    """Return what boto3 would use to reach S3, for clients that cannot find it themselves.

    Args:
        settings: where S3 is.

    Returns:
        `key`, `secret`, `token`, `region` and `endpoint`; None for what is not set.
    """
    session = boto3.Session()
    found = session.get_credentials()
    frozen = found.get_frozen_credentials() if found is not None else None
    return {
        "key": frozen.access_key if frozen else None,
        "secret": frozen.secret_key if frozen else None,
        "token": frozen.token if frozen else None,
        "region": session.region_name,
        "endpoint": settings.s3_endpoint_url,
    }
