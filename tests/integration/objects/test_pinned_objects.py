"""Objects read in one version, on every kind of store, by the real clients."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clients import gcs_client, s3_client
from core.clock import to_micros, utc_now
from core.errors import ConfigurationError
from core.pinned import (
    MissingError,
    ObjectStore,
    PinnedFile,
    ReplacedError,
    UnreachableError,
    open_store,
)
from core.settings import Settings
from devstack.gcs import running_gcs
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS


@dataclass(frozen=True)
class Place:
    store: ObjectStore
    put: Callable[[str, bytes], object]
    uri: str


@pytest.fixture(params=["s3", "gs", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A store below a prefix, and how others write to it."""
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    if request.param == "s3":
        with running_s3() as address:
            settings = Settings(s3_endpoint_url=address.url)
            client = s3_client(settings)
            client.create_bucket(Bucket="bucket")
            uri = "s3://bucket/in/here"
            put = lambda path, data: client.put_object(Bucket="bucket", Key=f"in/here/{path}", Body=data)  # noqa: E731
            yield Place(open_store(uri, settings), put, uri)
    elif request.param == "gs":
        with running_gcs() as url:
            settings = Settings(gcs_emulator_host=url)
            bucket = gcs_client(settings).create_bucket("b")
            uri = "gs://b/in/here"
            put = lambda path, data: bucket.blob(f"in/here/{path}").upload_from_string(data)  # noqa: E731
            yield Place(open_store(uri, settings), put, uri)
    else:

        def put(path: str, data: bytes) -> None:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

        yield Place(open_store(tmp_path.as_uri(), Settings()), put, tmp_path.as_uri())


def test_objects_are_listed_looked_up_and_read_in_parts(place: Place) -> None:
    before = to_micros(utc_now())
    for path in ("b/2 Ü.json", "a/1.json", "top"):
        place.put(path, f"content of {path}".encode())
    listed = place.store.listing("")
    assert [ref.path for ref in listed] == ["a/1.json", "b/2 Ü.json", "top"]
    assert [ref.path for ref in place.store.listing("a")] == ["a/1.json"]
    assert place.store.listing("none") == ()
    assert place.store.folders() == ("a", "b")
    for ref in listed:
        assert place.store.look_up(ref.path) == ref
        assert ref.uri.startswith(place.uri)
        assert abs(ref.modified_us - before) < 60_000_000
        assert place.store.read(ref, 3, 4) == b"tent"
        assert place.store.read(ref, 0, 0) == b""
        with PinnedFile(place.store, ref) as file:
            assert file.read() == f"content of {ref.path}".encode()


def test_a_replaced_object_is_told_from_one_that_is_gone(place: Place) -> None:
    place.put("a", b"first")
    ref = place.store.look_up("a")
    place.put("a", b"second, longer")
    assert place.store.look_up("a").etag != ref.etag
    with pytest.raises(ReplacedError):
        place.store.read(ref, 0, 5)
    with pytest.raises(MissingError, match="is not there"):
        place.store.look_up("nothing")


@pytest.mark.parametrize("uri", ["s3://b/x", "gs://b/x"])
def test_nobody_listening_is_worth_another_try(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DUMMY_CREDENTIALS.items() | {("AWS_MAX_ATTEMPTS", "1")}:
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.1)
    closed = Settings(s3_endpoint_url="http://127.0.0.1:1", gcs_emulator_host="http://127.0.0.1:1")
    with pytest.raises(UnreachableError) as caught:
        open_store(uri, closed).look_up("a")
    assert caught.value.retryable


def test_a_bucket_of_cloud_storage_that_is_not_there_is_told() -> None:
    with running_gcs() as url:
        store = open_store("gs://nothing", Settings(gcs_emulator_host=url))
        with pytest.raises(MissingError):
            store.listing("")
        with pytest.raises(MissingError):
            store.folders()


def test_only_places_are_opened() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: use"):
        open_store("ftp://host/folder", Settings())
