"""Objects on S3, Cloud Storage and disk: whole or not at all, and every fault says what to do."""

import hashlib
import http.server
import json
import multiprocessing
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest

from core.clients import s3_client
from core.errors import ConfigurationError, MillraceError, UnavailableError, UnreadableError
from core.objects import ObjectStore, content_name, make_place, open_objects, read_content, split_uri
from core.settings import Settings
from devstack.s3 import running_s3
from devstack.s3.server import DUMMY_CREDENTIALS

DATA = b"\x00\xffwhole" * 1_000


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DUMMY_CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@contextmanager
def cloud_storage(status: int | None = None) -> Iterator[str]:
    """The part of Cloud Storage's JSON API that writes and reads objects; or one that answers with a status only."""
    objects: dict[str, bytes] = {}
    buckets: set[str] = set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if urlsplit(self.path).path == "/storage/v1/b":
                bucket = json.loads(body)["name"]
                self._answer(409 if bucket in buckets else 200, body)
                buckets.add(bucket)
                return
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            _, description, content, _ = body.split(b"--" + boundary)
            name = json.loads(description.partition(b"\r\n\r\n")[2])["name"]
            assert parse_qs(urlsplit(self.path).query)["uploadType"] == ["multipart"]
            objects[name] = content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            self._answer(200, json.dumps({"name": name, "bucket": "bucket", "generation": "1"}).encode())

        def do_GET(self) -> None:
            name = unquote(urlsplit(self.path).path.rpartition("/")[2])
            if name in buckets:
                self._answer(200, json.dumps({"name": name}).encode())
            elif name in objects:
                self._answer(200, objects[name])
            else:
                self._answer(404, f"No such object: bucket/{name}".encode())

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(status or code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["s3", "gs", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if request.param == "s3":
        with running_s3() as address:
            settings = Settings(s3_endpoint_url=address.url)
            s3_client(settings).create_bucket(Bucket="bucket")
            yield open_objects("s3://bucket/pre/fix", settings)
    elif request.param == "gs":
        with cloud_storage() as url:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
            yield open_objects("gs://bucket/pre/fix", Settings())
    else:
        yield open_objects((tmp_path / "pre fix").as_uri(), Settings())


def test_what_was_written_is_read_and_writing_again_is_harmless(store: ObjectStore, tmp_path: Path) -> None:
    uri = store.put("folder/name", DATA)
    assert store.put("folder/name", DATA) == uri
    assert uri.endswith("/folder/name")
    assert "fix/" in uri
    assert store.get("folder/name") == DATA
    file = tmp_path / "file"
    file.write_bytes(DATA[::-1])
    store.put_file("folder/other", file)
    assert store.get("folder/other") == DATA[::-1]
    with pytest.raises(UnreadableError, match="is not there"):
        store.get("folder/nothing")


def test_content_is_held_to_its_name(tmp_path: Path) -> None:
    store, settings = open_objects(tmp_path.as_uri(), Settings()), Settings()
    uri = store.put(content_name("rows", DATA), DATA)
    assert uri == f"{tmp_path.as_uri()}/rows/{hashlib.sha256(DATA).hexdigest()}"
    assert read_content(uri, settings) == DATA
    changed = tmp_path / "rows" / uri.rpartition("/")[2]
    changed.write_bytes(DATA[1:])
    with pytest.raises(UnreadableError, match="was changed"):
        read_content(uri, settings)
    with pytest.raises(UnreadableError, match="is not there"):
        read_content(uri[:-1], settings)


@pytest.mark.parametrize("uri", ["", "members", "ftp://host/a", "s3:///a", "gs://", "file://host/a", "file:relative"])
def test_what_names_no_place_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="names no place"):
        open_objects(uri, Settings())


def test_an_object_is_split_from_its_folder() -> None:
    assert split_uri("s3://bucket/a/b.json") == ("s3://bucket/a", "b.json")
    assert split_uri("gs://bucket/b.json") == ("gs://bucket", "b.json")
    assert split_uri("file:///b.json") == ("file:///", "b.json")
    for uri in ("s3://bucket", "s3://bucket/a/", "b.json"):
        with pytest.raises(ConfigurationError, match=r"names no object|names no place"):
            open_objects(split_uri(uri)[0], Settings())


def test_a_store_that_is_down_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:1"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", nowhere)
    for uri in ("s3://bucket", "gs://bucket"):
        store = open_objects(uri, Settings(s3_endpoint_url=nowhere))
        with pytest.raises(UnavailableError):
            store.put("name", DATA)
        with pytest.raises(UnavailableError):
            store.get("name")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(403, ConfigurationError), (404, ConfigurationError), (429, UnavailableError), (503, UnavailableError)],
)
def test_what_the_service_answers_says_whether_to_try_again(
    status: int, expected: type[MillraceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_storage(status) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        with pytest.raises(expected):
            open_objects("gs://bucket", Settings()).put("name", DATA)


def test_a_bucket_that_is_not_there_is_somebody_s_to_make() -> None:
    with running_s3() as address:
        store = open_objects("s3://nobody", Settings(s3_endpoint_url=address.url))
        for call in (lambda: store.put("name", DATA), lambda: store.get("name")):
            with pytest.raises(ConfigurationError, match="NoSuchBucket; check the bucket's name"):
                call()


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_place_is_made_once(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    with running_s3() as address:
        settings = Settings(s3_endpoint_url=address.url)
        for _ in range(2):
            make_place("s3://place/below", settings)
        assert open_objects("s3://place/below", settings).put("name", DATA) == "s3://place/below/name"
    with cloud_storage() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        for _ in range(2):
            make_place("gs://place/below", Settings())


def test_without_credentials_the_fault_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in DUMMY_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(ConfigurationError, match="credentials"):
        open_objects("s3://bucket", Settings(s3_endpoint_url="http://127.0.0.1:1")).put("name", DATA)


def _write_on_a_full_disk(folder: str, answers: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096))
    store = open_objects(Path(folder).as_uri(), Settings())
    try:
        store.put("a/name", DATA)
    except MillraceError as error:
        answers.put((type(error).__name__, str(error)))
    answers.put(store.put("a/small", b"small"))


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_write_on_a_full_disk, args=(str(tmp_path), answers))
    child.start()
    kind, words = answers.get(timeout=30)
    assert answers.get(timeout=30).endswith("/a/small")
    child.join(30)
    assert kind == "UnavailableError"
    assert "free some room" in words
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["small"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match=r"Not a directory|File exists"):
        open_objects((tmp_path / "file").as_uri(), Settings()).put("name", DATA)
