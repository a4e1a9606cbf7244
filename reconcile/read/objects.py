"""Objects of a snapshot, on S3 or on disk: listed, pinned, and read only while they stay the same.

A listing says which version of each object there is (its ETag); every read asks for that version
(`If-Match`, RFC 9110 section 13.1.1), so that an object replaced in mid-read is noticed rather than mixed.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

from core.clients import s3_client
from core.errors import ConfigurationError, UnavailableError, UnreadableError
from core.retry import RetryPolicy, retrying
from core.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RETRY: Final = RetryPolicy(attempts=4, first_wait_s=0.1, longest_wait_s=2.0)
_PRECONDITION_FAILED: Final = frozenset({"412", "PreconditionFailed"})
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_FORBIDDEN: Final = frozenset(
    {"401", "403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)


@dataclass(frozen=True)
class ObjectRef:
    """One version of one object.

    Attributes:
        uri: where it lies.
        path: its path below the store's root.
        etag: its entity tag; for a file, its inode, size and time of modification.
        size: length in bytes.
    """

    uri: str
    path: str
    etag: str
    size: int


class ObjectStore(Protocol):
    """Where objects lie."""

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """Return every object below a folder, in the order of their paths.

        Raises:
            UnreadableError: when the store refuses, or cannot be reached.
        """

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders right below the root, sorted.

        Raises:
            UnreadableError: when the store refuses, or cannot be reached.
        """

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """Return `length` bytes of exactly this version of an object, from `start`.

        Raises:
            UnreadableError: when the object was replaced or removed, or cannot be read.
        """


def open_store(uri: str, settings: Settings) -> ObjectStore:
    """Return the store a URI names.

    Args:
        uri: `s3://bucket/prefix` or `file:///folder`.
        settings: where S3 is.

    Returns:
        The store.

    Raises:
        ConfigurationError: when the scheme is another one.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(client=s3_client(settings), bucket=parts.netloc, prefix=parts.path.strip("/"))
    if parts.scheme == "file" and not parts.netloc:
        return FileStore(Path(unquote(parts.path)))
    raise ConfigurationError(f"{uri!r} cannot be read: use s3://bucket/prefix or file:///folder")


@dataclass(frozen=True)
class S3Store:
    """Objects of an S3 bucket.

    Attributes:
        client: where to ask; safe to share between threads.
        bucket: the bucket.
        prefix: the root within it, without slashes at its ends.
    """

    client: "S3Client"
    bucket: str
    prefix: str

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """See `ObjectStore.listing`."""
        root = f"{self.prefix}/" if self.prefix else ""
        with _told(f"s3://{self.bucket}/{root}{prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{root}{prefix}/")
            found = [entry for page in pages for entry in page.get("Contents", [])]
        return tuple(
            ObjectRef(
                uri=f"s3://{self.bucket}/{entry['Key']}",
                path=entry["Key"].removeprefix(root),
                etag=entry["ETag"],
                size=entry["Size"],
            )
            for entry in found
            if not entry["Key"].endswith("/")
        )

    def folders(self) -> tuple[str, ...]:
        """See `ObjectStore.folders`."""
        root = f"{self.prefix}/" if self.prefix else ""
        with _told(f"s3://{self.bucket}/{root}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=root, Delimiter="/"
            )
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return tuple(sorted(name.removeprefix(root).rstrip("/") for name in found))

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """See `ObjectStore.read`."""
        if length <= 0:
            return b""
        try:
            return retrying(_RETRY, "read of a snapshot object")(self._get, ref, start, length)
        except UnavailableError as error:
            raise UnreadableError(str(error)) from error

    def _get(self, ref: ObjectRef, start: int, length: int) -> bytes:
        key = f"{self.prefix}/{ref.path}" if self.prefix else ref.path
        with _told(ref.uri):
            answer = self.client.get_object(
                Bucket=self.bucket, Key=key, IfMatch=ref.etag, Range=f"bytes={start}-{start + length - 1}"
            )
            try:
                data = answer["Body"].read()
            except (HTTPError, HTTPClientError, IncompleteReadError, OSError) as error:
                raise UnavailableError(f"{ref.uri}: the connection broke while it was read: {error}") from error
        if len(data) != length:
            raise UnavailableError(f"{ref.uri}: asked for {length} bytes and got {len(data)}")
        return data


@dataclass(frozen=True)
class FileStore:
    """Files below a folder of this machine.

    Attributes:
        root: the folder.
    """

    root: Path

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """See `ObjectStore.listing`."""
        folder = self.root / prefix
        if not folder.is_dir():
            return ()
        return tuple(self._ref(path) for path in sorted(folder.rglob("*")) if path.is_file())

    def folders(self) -> tuple[str, ...]:
        """See `ObjectStore.folders`."""
        if not self.root.is_dir():
            raise UnreadableError(f"{self.root.as_uri()}: no such folder")
        return tuple(sorted(path.name for path in self.root.iterdir() if path.is_dir()))

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """See `ObjectStore.read`."""
        path = self.root / ref.path
        try:
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(length)
            current = self._ref(path)
        except OSError as error:
            raise UnreadableError(f"{ref.uri}: cannot be read: {error.strerror}") from error
        if current.etag != ref.etag:
            raise _replaced(ref.uri)
        if len(data) != length:
            raise UnreadableError(f"{ref.uri}: asked for {length} bytes and got {len(data)}")
        return data

    def _ref(self, path: Path) -> ObjectRef:
        state = path.stat()
        return ObjectRef(
            uri=path.absolute().as_uri(),
            path=path.relative_to(self.root).as_posix(),
            etag=f"{state.st_ino}-{state.st_size}-{state.st_mtime_ns}",
            size=state.st_size,
        )


class PinnedFile(io.RawIOBase):
    """One version of an object as a read-only file that can seek, for readers that want one.

    Nothing is read ahead, so memory is the caller's buffers; wrap it in `io.BufferedReader` for small reads.
    """

    def __init__(self, store: ObjectStore, ref: ObjectRef) -> None:
        super().__init__()
        self._store = store
        self._ref = ref
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end; return the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ref.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; all that is left when negative."""
        left = max(0, self._ref.size - self._position)
        length = left if size is None or size < 0 else min(size, left)
        data = self._store.read(self._ref, self._position, length)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; return how many bytes were there."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn the client's errors into ours, with what to do about them."""
    try:
        yield
    except ClientError as error:
        raise _explained(where, error) from error
    except BotoConnectionError as error:
        # The client itself has tried again by now.
        raise UnreadableError(f"{where}: cannot be reached: {error}") from error
    except BotoCoreError as error:
        raise UnreadableError(f"{where}: cannot be read: {error}") from error


def _explained(where: str, error: ClientError) -> UnreadableError:
    code = error.response["Error"]["Code"]
    if code in _PRECONDITION_FAILED:
        return _replaced(where)
    if code in _NOT_FOUND:
        return UnreadableError(f"{where}: is not there ({code}); check the snapshot's uri and id")
    if code in _FORBIDDEN:
        return UnreadableError(f"{where}: access denied ({code}); the role needs s3:ListBucket and s3:GetObject")
    return UnreadableError(f"{where}: cannot be read: {error}")


def _replaced(uri: str) -> UnreadableError:
    return UnreadableError(f"{uri}: was replaced while it was read; run again once the snapshot is complete")
