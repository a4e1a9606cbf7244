"""Delta tables: the log of one version names the Parquet files, which are then read as any others are.

See "Delta Transaction Log Protocol" (https://github.com/delta-io/delta/blob/master/PROTOCOL.md). Rows that a deletion
vector marks are left out; tables with mapped columns are refused, for their files hold other names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import pyarrow as pa

from core.clock import from_micros
from core.errors import UnreadableError
from core.pinned import MissingError, ObjectStore
from core.settings import Settings
from reconcile.plans import FileSet
from reconcile.source_config import DeltaTable
from reconcile.sources.extras import imported
from reconcile.sources.lake_metadata import delta_log_here
from reconcile.sources.lakes import DataFile, all_rows, aws_credentials, below, pinned, spelled
from reconcile.sources.services import Services

_MAPPING: Final = "delta.columnMapping.mode"
_GCS: Final = "gs://"
_US_PER_MS: Final = 1_000


def resolve_delta(described: DeltaTable, services: Services) -> tuple[FileSet, datetime | None]:
    """Find the files of a version of a table.

    Args:
        described: the table and its version.
        services: where it is.

    Returns:
        The files, pinned, and when the version was committed (UTC); None when its log does not say.

    Raises:
        UnreadableError: when the table or the version is not there, a file is missing or is another one, or the table
            uses what cannot be read.
        ConfigurationError: when deltalake is not installed.
    """
    module, root = imported("deltalake", "delta"), described.uri.rstrip("/")
    errors = imported("deltalake.exceptions", "delta").DeltaError
    try:
        with _metadata_at(root, services) as place:
            table = module.DeltaTable(
                place, version=described.version, storage_options=_options(root, services.settings)
            )
            words = f"delta table {root} version {table.version()}"
            _check_mapping(words, table)
            actions = pa.table(table.get_add_actions()).to_pylist()
            vectors = pa.table(table.deletion_vectors()).to_pylist()
            declared = pa.schema(table.schema().to_arrow())
    except (errors, OSError, ValueError) as error:
        raise UnreadableError(f"{root}: is not a Delta table that can be read: {error}") from error
    files = [DataFile(_path(place, action["path"]), action["size_bytes"], action["num_records"]) for action in actions]
    selections = {_path(place, vector["filepath"]): pa.array(vector["selection_vector"]) for vector in vectors}
    constants = {
        file.path: {name: spelled(value) for name, value in (action.get("partition") or {}).items()}
        for file, action in zip(files, actions, strict=True)
    }
    found = FileSet(
        root=root,
        objects=pinned(services.store(root), files),
        format="parquet",
        expected_rows=all_rows(files),
        words=words,
        constants={path: values for path, values in constants.items() if values},
        selections=selections,
        declared=declared,
    )
    return found, _committed_at(services.store(root), table.version())


@contextmanager
def _metadata_at(root: str, services: Services) -> Iterator[str]:
    """Yield the URI that the metadata of a table is read from."""
    if not root.startswith(_GCS):
        yield root
        return
    try:
        with delta_log_here(services.store(root)) as folder:
            yield folder.as_uri()
    except UnreadableError as error:
        raise UnreadableError(f"{root}: is not a Delta table that can be read: {error}") from error


def _options(root: str, settings: Settings) -> dict[str, str] | None:
    if not root.startswith("s3://"):
        return None
    aws = aws_credentials(settings)
    options = {
        "aws_access_key_id": aws["key"],
        "aws_secret_access_key": aws["secret"],
        "aws_session_token": aws["token"],
        "aws_region": aws["region"] or "us-east-1",
        "aws_endpoint": aws["endpoint"],
        "aws_allow_http": "true" if (aws["endpoint"] or "").startswith("http://") else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _check_mapping(words: str, table: Any) -> None:
    mode = table.metadata().configuration.get(_MAPPING, "none")
    if mode != "none":
        raise UnreadableError(
            f"{words}: maps its columns by {mode}, so that its files hold other names; compare a copy without "
            f"{_MAPPING}"
        )


def _path(root: str, named: str) -> str:
    """Return the path of a file that the log names as a URI or relative to the root, in both cases encoded."""
    return unquote(below(root, named) if "://" in named else named)


def _committed_at(store: ObjectStore, version: int) -> datetime | None:
    """Return when a version was committed; None when its commit is gone, as it may be once there is a checkpoint."""
    try:
        ref = store.look_up(f"_delta_log/{version:020}.json")
    except MissingError:
        return None
    for line in store.read(ref, 0, ref.size).splitlines():
        info = msgspec.json.decode(line, type=_Line).commitInfo
        if info is not None:
            return from_micros((info.inCommitTimestamp or info.timestamp) * _US_PER_MS)
    return None


class _CommitInfo(msgspec.Struct):
    timestamp: int
    inCommitTimestamp: int | None = None  # noqa: N815 - the protocol's name


class _Line(msgspec.Struct):
    commitInfo: _CommitInfo | None = None  # noqa: N815 - the protocol's name
