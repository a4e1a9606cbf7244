"""Objects on S3, pinned by their ETag."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

from core.clock import to_micros
from core.errors import UnavailableError, UnreadableError
from core.pinned.model import ForbiddenError, MissingError, ObjectRef, UnreachableError, folder, replaced
from core.retry import RetryPolicy, retrying

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RETRY: Final = RetryPolicy(attempts=4, first_wait_s=0.1, longest_wait_s=2.0)
_PRECONDITION_FAILED: Final = frozenset({"412", "PreconditionFailed"})
_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_FORBIDDEN: Final = frozenset(
    {"401", "403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})


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
        root = folder(self.prefix)
        with _told(f"s3://{self.bucket}/{root}{prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{root}{folder(prefix)}"
            )
            found = [entry for page in pages for entry in page.get("Contents", [])]
        return tuple(
            ObjectRef(
                uri=f"s3://{self.bucket}/{entry['Key']}",
                path=entry["Key"].removeprefix(root),
                etag=entry["ETag"],
                size=entry["Size"],
                modified_us=to_micros(entry["LastModified"]),
            )
            for entry in found
            if not entry["Key"].endswith("/")
        )

    def look_up(self, path: str) -> ObjectRef:
        """See `ObjectStore.look_up`."""
        key = f"{folder(self.prefix)}{path}"
        uri = f"s3://{self.bucket}/{key}"
        with _told(uri):
            found = self.client.head_object(Bucket=self.bucket, Key=key)
        modified_us = to_micros(found["LastModified"])
        return ObjectRef(uri, path, found["ETag"], found["ContentLength"], modified_us)

    def folders(self) -> tuple[str, ...]:
        """See `ObjectStore.folders`."""
        root = folder(self.prefix)
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
            return retrying(_RETRY, "read of an object")(self._get, ref, start, length)
        except UnavailableError as error:
            raise UnreachableError(str(error)) from error

    def _get(self, ref: ObjectRef, start: int, length: int) -> bytes:
        key = f"{folder(self.prefix)}{ref.path}"
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


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn the S3 client's errors into ours, with what to do about them."""
    try:
        yield
    except ClientError as error:
        raise _explained(where, error) from error
    except BotoConnectionError as error:
        # The client itself has tried again by now.
        raise UnreachableError(f"{where}: cannot be reached: {error}") from error
    except BotoCoreError as error:
        raise UnreadableError(f"{where}: cannot be read: {error}") from error


def _explained(where: str, error: ClientError) -> UnreadableError:
    code = error.response["Error"]["Code"]
    if code in _PRECONDITION_FAILED:
        return replaced(where)
    if code in _NOT_FOUND:
        return MissingError(f"{where}: is not there ({code}); check its address")
    if code in _EXPIRED:
        return ForbiddenError(f"{where}: the credentials have expired ({code}); renew them and run again")
    if code in _FORBIDDEN:
        return ForbiddenError(f"{where}: access denied ({code}); the role needs s3:ListBucket and s3:GetObject")
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    kind = UnreachableError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else UnreadableError
    return kind(f"{where}: cannot be read: {error}")
