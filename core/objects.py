"""Objects written whole to S3, Cloud Storage or a folder, and read back.

Made for what does not fit a row or a message: an object is there entirely or not at all, and one whose name is the
SHA-256 of its content can be written again and again.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from google.api_core.exceptions import ClientError as GoogleClientError
from google.api_core.exceptions import GoogleAPICallError, TooManyRequests
from google.auth.exceptions import TransportError
from requests import RequestException

from core.clients import gcs_client, s3_client
from core.errors import ConfigurationError, MillraceError, UnavailableError, UnreadableError
from core.settings import Settings

if TYPE_CHECKING:
    from google.cloud.storage import Client as GcsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_FOR_GOOD: Final = frozenset(
    {
        "301", "400", "401", "403", "404", "AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed",
        "Forbidden", "InvalidAccessKeyId", "InvalidBucketName", "NoSuchBucket", "NotFound",
        "PermanentRedirect", "SignatureDoesNotMatch",
    }
)  # fmt: skip
"""Answers of S3 that stay the same until somebody mends something; an expired token is renewed by itself."""

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EAGAIN, errno.EMFILE})
"""Faults of a file system that pass once there is room again."""


class ObjectStore(Protocol):
    """Where objects lie."""

    def put(self, name: str, data: bytes) -> str:
        """Write an object, whole; one of the same name is replaced.

        Args:
            name: its path below the store's root.
            data: its content.

        Returns:
            Its URI.

        Raises:
            UnavailableError: when the store does not answer, or has no room; nothing half written is left.
            ConfigurationError: when it refuses the caller, or does not exist.
        """

    def put_file(self, name: str, path: Path) -> str:
        """Write an object from a file, however large; otherwise like `put`.

        Args:
            name: its path below the store's root.
            path: the file.

        Returns:
            Its URI.

        Raises:
            UnavailableError: see `put`.
            ConfigurationError: see `put`.
        """

    def get(self, name: str) -> bytes:
        """Read an object.

        Args:
            name: its path below the store's root.

        Returns:
            Its content.

        Raises:
            UnreadableError: when it is not there.
            UnavailableError: when the store does not answer.
            ConfigurationError: when it refuses the caller, or does not exist.
        """


def open_objects(uri: str, settings: Settings) -> ObjectStore:
    """Return the store a URI names.

    Args:
        uri: `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`.
        settings: where the services are.

    Returns:
        The store; its methods block, and may be called from several threads.

    Raises:
        ConfigurationError: when the URI is none of these.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        # Whoever calls has a retry policy of its own.
        return S3Objects(s3_client(settings, attempts=1), parts.netloc, parts.path.strip("/"))
    if parts.scheme == "gs" and parts.netloc:
        return GcsObjects(gcs_client(settings), parts.netloc, parts.path.strip("/"))
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FileObjects(Path(unquote(parts.path)))
    raise ConfigurationError(f"{uri!r} names no place: use s3://bucket/prefix, gs://bucket/prefix or file:///folder")


def make_place(uri: str, settings: Settings) -> None:
    """Create the bucket of a URI when it is not there yet; a folder is made when it is first written to.

    Args:
        uri: see `open_objects`.
        settings: where the services are.

    Raises:
        ConfigurationError: when the URI names no place, or the bucket may not be created.
        UnavailableError: when the service does not answer.
    """
    store = open_objects(uri, settings)
    if isinstance(store, S3Objects):
        with _s3_told(uri):
            if store.bucket not in {bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]}:
                _create_s3_bucket(store.client, store.bucket)
    elif isinstance(store, GcsObjects):
        with _gcs_told(uri):
            if store.client.lookup_bucket(store.bucket) is None:
                store.client.create_bucket(store.bucket, location=settings.location)


def _create_s3_bucket(client: "S3Client", bucket: str) -> None:
    region = client.meta.region_name
    if region == "us-east-1":  # the one region that refuses to be named
        client.create_bucket(Bucket=bucket)
    else:
        constraint = cast("BucketLocationConstraintType", region)
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": constraint})


def split_uri(uri: str) -> tuple[str, str]:
    """Split an object's URI into its folder's and its name.

    Args:
        uri: such as `s3://bucket/a/b.json`.

    Returns:
        Such as `s3://bucket/a` and `b.json`.

    Raises:
        ConfigurationError: when it names no object.
    """
    folder, _, name = uri.rpartition("/")
    if folder == "file://":
        folder = "file:///"
    elif not name or folder.endswith("/"):
        raise ConfigurationError(f"{uri!r} names no object; give its path too, such as s3://bucket/folder/name.ndjson")
    return folder, name


def content_name(folder: str, data: bytes) -> str:
    """Return the name of an object that is addressed by its content.

    Args:
        folder: where, without slashes at its ends.
        data: the content.

    Returns:
        The folder and the content's SHA-256, in hexadecimal.
    """
    return f"{folder}/{hashlib.sha256(data).hexdigest()}"


def read_content(uri: str, settings: Settings) -> bytes:
    """Read an object that is addressed by its content, and hold it to its name.

    Args:
        uri: as `put` returned it for a `content_name`.
        settings: where the services are.

    Returns:
        The content.

    Raises:
        UnreadableError: when it is not there, or is not what its name says.
        UnavailableError: when the store does not answer.
        ConfigurationError: when the store refuses the caller.
    """
    folder, name = split_uri(uri)
    data = open_objects(folder, settings).get(name)
    if hashlib.sha256(data).hexdigest() != name:
        raise UnreadableError(f"{uri}: does not hold what its name says; it was changed after it was written")
    return data


@dataclass(frozen=True)
class S3Objects:
    """Objects of an S3 bucket.

    Attributes:
        client: where to ask; safe to share between threads.
        bucket: the bucket.
        prefix: the root within it, without slashes at its ends.
    """

    client: "S3Client"
    bucket: str
    prefix: str

    def put(self, name: str, data: bytes) -> str:
        """See `ObjectStore.put`."""
        uri, key = self._place(name)
        with _s3_told(uri):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return uri

    def put_file(self, name: str, path: Path) -> str:
        """See `ObjectStore.put_file`."""
        uri, key = self._place(name)
        with _s3_told(uri), path.open("rb") as file:
            self.client.upload_fileobj(file, self.bucket, key)
        return uri

    def get(self, name: str) -> bytes:
        """See `ObjectStore.get`."""
        uri, key = self._place(name)
        with _s3_told(uri):
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def _place(self, name: str) -> tuple[str, str]:
        return _place("s3", self.bucket, self.prefix, name)


@dataclass(frozen=True)
class GcsObjects:
    """Objects of a Cloud Storage bucket.

    Attributes:
        client: where to ask; safe to share between threads.
        bucket: the bucket.
        prefix: the root within it, without slashes at its ends.
    """

    client: "GcsClient"
    bucket: str
    prefix: str

    def put(self, name: str, data: bytes) -> str:
        """See `ObjectStore.put`."""
        uri, key = self._place(name)
        with _gcs_told(uri):
            self.client.bucket(self.bucket).blob(key).upload_from_string(data, "application/octet-stream", retry=None)
        return uri

    def put_file(self, name: str, path: Path) -> str:
        """See `ObjectStore.put_file`."""
        uri, key = self._place(name)
        with _gcs_told(uri):
            self.client.bucket(self.bucket).blob(key).upload_from_filename(str(path), retry=None)
        return uri

    def get(self, name: str) -> bytes:
        """See `ObjectStore.get`."""
        uri, key = self._place(name)
        with _gcs_told(uri):
            data: bytes = self.client.bucket(self.bucket).blob(key).download_as_bytes(retry=None)
            return data

    def _place(self, name: str) -> tuple[str, str]:
        return _place("gs", self.bucket, self.prefix, name)


def _place(scheme: str, bucket: str, prefix: str, name: str) -> tuple[str, str]:
    """Return the URI of an object below a prefix, and its key within the bucket."""
    key = f"{prefix}/{name}" if prefix else name
    return f"{scheme}://{bucket}/{key}", key


@dataclass(frozen=True)
class FileObjects:
    """Files below a folder of this machine, readable by this user only.

    Attributes:
        root: the folder; made when it is missing.
    """

    root: Path

    def put(self, name: str, data: bytes) -> str:
        """See `ObjectStore.put`."""
        path = self.root / name
        with _file_told(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        return path.absolute().as_uri()

    def put_file(self, name: str, path: Path) -> str:
        """See `ObjectStore.put_file`."""
        return self.put(name, path.read_bytes())

    def get(self, name: str) -> bytes:
        """See `ObjectStore.get`."""
        path = self.root / name
        with _file_told(path):
            return path.read_bytes()


@contextmanager
def _s3_told(uri: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING and "Get" in error.operation_name:
            raise UnreadableError(f"{uri}: is not there ({code})") from error
        if code in _FOR_GOOD:
            raise ConfigurationError(
                f"{uri}: {code}; check the bucket's name, and that the role has s3:PutObject and s3:GetObject"
            ) from error
        raise UnavailableError(f"{uri}: {code}: {error.response['Error'].get('Message', '')}") from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise UnavailableError(f"{uri}: cannot be reached: {error}") from error
    except BotoCoreError as error:
        raise ConfigurationError(f"{uri}: {error}; check the AWS credentials and region") from error
    except OSError as error:
        raise UnavailableError(f"{uri}: the connection broke: {error}") from error


@contextmanager
def _gcs_told(uri: str) -> Iterator[None]:
    try:
        yield
    except TooManyRequests as error:
        raise UnavailableError(f"{uri}: {error.message}") from error
    except GoogleClientError as error:
        if error.code == 404 and "No such object" in str(error.message):  # noqa: PLR2004 - a status of HTTP
            raise UnreadableError(f"{uri}: is not there") from error
        raise ConfigurationError(
            f"{uri}: {error.message}; check the bucket's name, and that the account has roles/storage.objectUser"
        ) from error
    except (GoogleAPICallError, TransportError, RequestException, ConnectionError, TimeoutError) as error:
        raise UnavailableError(f"{uri}: {error}") from error


@contextmanager
def _file_told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError(f"{path.absolute().as_uri()}: is not there") from error
    except OSError as error:
        raise file_error(path, error) from error


def file_error(path: Path, error: OSError) -> MillraceError:
    """Turn a fault of a file into an error that says whether to try again.

    Args:
        path: the file.
        error: the fault.

    Returns:
        `UnavailableError` when the disk is full or does not answer, `ConfigurationError` otherwise.
    """
    if error.errno in _PASSING:
        return UnavailableError(f"{path} cannot be written: {error.strerror}; free some room, or choose another place")
    return ConfigurationError(f"{path} cannot be used: {error.strerror}; choose a place this user may write to")
