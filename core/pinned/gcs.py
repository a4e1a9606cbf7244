"""Objects on Cloud Storage, pinned by their generation."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import TransportError
from requests import RequestException

from core.clock import from_micros, to_micros
from core.errors import UnreadableError
from core.pinned.model import ForbiddenError, MissingError, ObjectRef, UnreachableError, folder, replaced

if TYPE_CHECKING:
    from google.cloud.storage import Blob
    from google.cloud.storage import Client as GcsClient


@dataclass(frozen=True)
class GcsStore:
    """Objects of a Cloud Storage bucket.

    Attributes:
        client: where to ask; safe to share between threads.
        bucket: the bucket.
        prefix: the root within it, without slashes at its ends.
    """

    client: "GcsClient"
    bucket: str
    prefix: str

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """See `ObjectStore.listing`."""
        below = f"{folder(self.prefix)}{folder(prefix)}"
        with _gcs_told(f"gs://{self.bucket}/{below}"):
            found = list(self.client.list_blobs(self.bucket, prefix=below))
        return tuple(self._ref(blob) for blob in found if not blob.name.endswith("/"))

    def look_up(self, path: str) -> ObjectRef:
        """See `ObjectStore.look_up`."""
        key = f"{folder(self.prefix)}{path}"
        with _gcs_told(f"gs://{self.bucket}/{key}"):
            blob = self.client.bucket(self.bucket).get_blob(key)
        if blob is None:
            raise MissingError(f"gs://{self.bucket}/{key}: is not there")
        return self._ref(blob)

    def folders(self) -> tuple[str, ...]:
        """See `ObjectStore.folders`."""
        root = folder(self.prefix)
        with _gcs_told(f"gs://{self.bucket}/{root}"):
            pages = self.client.list_blobs(self.bucket, prefix=root, delimiter="/")
            names = {name for page in pages.pages for name in page.prefixes}
        return tuple(sorted(name.removeprefix(root).rstrip("/") for name in names))

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """See `ObjectStore.read`."""
        if length <= 0:
            return b""
        generation = int(ref.etag)
        blob = self.client.bucket(self.bucket).blob(f"{folder(self.prefix)}{ref.path}", generation=generation)
        try:
            with _gcs_told(ref.uri):
                # Raw: an object stored with a content encoding must not be decoded on the way, its ranges least of all.
                data: bytes = blob.download_as_bytes(
                    start=start, end=start + length - 1, raw_download=True, if_generation_match=generation
                )
        except MissingError:
            # A generation that was replaced is gone, unless the bucket keeps versions.
            self.look_up(ref.path)
            raise replaced(ref.uri) from None
        if len(data) != length:
            raise UnreachableError(f"{ref.uri}: asked for {length} bytes and got {len(data)}")
        return data

    def _ref(self, blob: "Blob") -> ObjectRef:
        return ObjectRef(
            uri=f"gs://{self.bucket}/{blob.name}",
            path=blob.name.removeprefix(folder(self.prefix)),
            etag=str(blob.generation),
            size=blob.size or 0,
            modified_us=to_micros(blob.updated or from_micros(0)),
        )


@contextmanager
def _gcs_told(where: str) -> Iterator[None]:
    """Turn the Cloud Storage client's errors into ours; it has tried again by now what is worth it."""
    try:
        yield
    except GoogleAPICallError as error:
        raise _gcs_explained(where, error) from error
    except (TransportError, RequestException, ConnectionError, TimeoutError, RetryError) as error:
        raise UnreachableError(f"{where}: cannot be reached: {error}") from error


def _gcs_explained(where: str, error: GoogleAPICallError) -> UnreadableError:
    if error.code == HTTPStatus.PRECONDITION_FAILED:
        return replaced(where)
    if error.code == HTTPStatus.NOT_FOUND:
        return MissingError(f"{where}: is not there; check its address")
    if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ForbiddenError(f"{where}: access denied; the account needs roles/storage.objectViewer")
    return UnreachableError(f"{where}: cannot be read: {error.message}")
