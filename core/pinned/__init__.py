"""Objects on S3, on Cloud Storage or on disk: listed, pinned, and read only while they stay the same.

A listing says which version of each object there is (its ETag, or its generation); every read asks for that version
(`If-Match`, RFC 9110 section 13.1.1; https://cloud.google.com/storage/docs/request-preconditions), so that an object
replaced in mid-read is noticed rather than mixed.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.clients import gcs_client, s3_client
from core.errors import ConfigurationError
from core.pinned.files import FileStore
from core.pinned.gcs import GcsStore
from core.pinned.model import (
    ForbiddenError,
    MissingError,
    ObjectRef,
    ObjectStore,
    ReplacedError,
    UnreachableError,
)
from core.pinned.reading import PinnedFile
from core.pinned.s3 import S3Store
from core.settings import Settings

__all__ = [
    "FileStore",
    "ForbiddenError",
    "GcsStore",
    "MissingError",
    "ObjectRef",
    "ObjectStore",
    "PinnedFile",
    "ReplacedError",
    "S3Store",
    "UnreachableError",
    "open_store",
]


def open_store(uri: str, settings: Settings) -> ObjectStore:
    """Return the store a URI names.

    Args:
        uri: `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`.
        settings: where the services are.

    Returns:
        The store.

    Raises:
        ConfigurationError: when the scheme is another one.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(client=s3_client(settings), bucket=parts.netloc, prefix=parts.path.strip("/"))
    if parts.scheme == "gs" and parts.netloc:
        return GcsStore(client=gcs_client(settings), bucket=parts.netloc, prefix=parts.path.strip("/"))
    if parts.scheme == "file" and not parts.netloc:
        return FileStore(Path(unquote(parts.path)))
    raise ConfigurationError(f"{uri!r} cannot be read: use s3://bucket/prefix, gs://bucket/prefix or file:///folder")
