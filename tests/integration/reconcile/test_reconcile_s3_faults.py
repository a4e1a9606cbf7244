"""Faults of the snapshot's side: each ends as unreadable with its reason, or is overcome; none as zero rows."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from botocore.exceptions import IncompleteReadError, ResponseStreamingError
from reconcile_world import DATASET, TAKEN_AT, Estate, faulty_proxy, load
from urllib3.exceptions import HTTPError

from core.clients import s3_client
from core.errors import UnreadableError
from core.pinned import ObjectRef, PinnedFile, S3Store, open_store
from core.settings import Settings
from reconcile import ReconcileConfig, RunResult, run
from reconcile.result import ComparisonResult

BUCKET = "reconcile-faults"
ROWS = 1_005


@pytest.fixture(scope="module", autouse=True)
def things(estate: Estate) -> None:
    s3_client(estate.settings).create_bucket(Bucket=BUCKET)
    table = pa.table({"id": range(ROWS), "v": [f"value {n}" for n in range(ROWS)]})
    schema = [schema_field("id", "int64"), schema_field("v", "string")]
    load(estate.client, f"{estate.settings.project}.{DATASET}.things", schema, table)


@pytest.fixture(scope="module")
def settings(estate: Estate) -> Settings:
    return estate.settings.model_copy(update={"snapshot_uri": f"s3://{BUCKET}/nightly"})


def _parquet(first: int = 0, last: int = ROWS, groups: int = 1) -> bytes:
    sink = pa.BufferOutputStream()
    rows = range(first, last)
    table = pa.table({"id": rows, "v": [f"value {n}" for n in rows]})
    pq.write_table(table, sink, row_group_size=max(1, len(rows) // groups), compression="none", use_dictionary=False)
    return sink.getvalue().to_pybytes()


def _write(settings: Settings, data: dict[str, bytes], *, snapshot_id: str = "s1", **stated: Any) -> None:
    s3 = s3_client(settings)
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"nightly/{snapshot_id}/").get("Contents", [])
    for old in found:
        s3.delete_object(Bucket=BUCKET, Key=old["Key"])
    for name, body in data.items():
        s3.put_object(Bucket=BUCKET, Key=f"nightly/{snapshot_id}/things/{name}", Body=body)
    stated = {"files": [f"things/{name}" for name in data], **stated}
    table = {"format": "parquet", "rows": ROWS, **stated}
    manifest = {"snapshot_id": snapshot_id, "taken_at": TAKEN_AT, "tables": {"things": table}}
    s3.put_object(Bucket=BUCKET, Key=f"nightly/{snapshot_id}/manifest.json", Body=msgspec.json.encode(manifest))


def _run(settings: Settings, snapshot_id: str = "s1", **changes: Any) -> ComparisonResult:
    comparison = {"name": "things", "key": ["id"], **changes}
    document = {"version": 1, "defaults": {"dataset": DATASET}, "comparisons": [comparison]}
    result: RunResult = run(ReconcileConfig.model_validate(document), settings, snapshot_id=snapshot_id, audit=False)
    return result.comparisons[0]


def _reason(found: ComparisonResult) -> str:
    assert (found.verdict, found.counts) == ("unreadable", None)
    return found.reason or ""


def test_a_listing_of_more_than_a_page_is_read_to_its_end(settings: Settings) -> None:
    # Only the last file, which stands on the second page, holds rows.
    lines = b"".join(json.dumps({"id": n, "v": f"value {n}"}).encode() + b"\n" for n in range(ROWS))
    files = {f"part-{n:05}.ndjson": b"" for n in range(1_004)} | {"part-01004.ndjson": lines}
    _write(settings, files, snapshot_id="many", format="ndjson")
    found = _run(settings, snapshot_id="many")
    assert found.reason is None
    assert (found.verdict, found.counts and found.counts.matched) == ("equal", ROWS)
    assert found.inputs is not None
    assert len(found.inputs.objects) == 1_005


def test_a_truncated_file_is_unreadable(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet()[:-9]})
    assert "a.parquet: is not a whole Parquet file" in _reason(_run(settings))
    whole = gzip.compress(b'{"id": 1, "v": "x"}\n' * 1000)
    _write(settings, {"a.ndjson.gz": whole[:-9]}, format="ndjson")
    assert "a.ndjson.gz: is truncated or corrupt" in _reason(_run(settings))


@pytest.mark.parametrize("stated", [ROWS + 1, ROWS - 1, 0])
def test_another_number_of_rows_than_the_manifest_says_is_unreadable(settings: Settings, stated: int) -> None:
    _write(settings, {"a.parquet": _parquet()}, rows=stated)
    assert f"the manifest says {stated} rows and the files hold {ROWS}" in _reason(_run(settings))


def test_a_file_missing_from_the_listing_is_unreadable(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet(0, 500)}, files=["things/a.parquet", "things/b.parquet"])
    assert "1 of 2 files missing: b.parquet" in _reason(_run(settings))


def test_an_empty_folder_is_unreadable_and_an_empty_file_is_zero_rows(settings: Settings) -> None:
    _write(settings, {}, rows=0)
    assert "no files are there" in _reason(_run(settings))
    _write(settings, {"a.parquet": _parquet(0, 0)}, rows=0)
    found = _run(settings)
    assert (found.verdict, found.counts and found.counts.extra) == ("different", ROWS)


class _Replacing(S3Store):
    """A store whose objects are replaced, by someone else, after the first bytes were read."""

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        data = super().read(ref, start, length)
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{ref.path}", Body=_parquet(1, ROWS + 1))
        return data


def test_an_object_replaced_in_mid_read_is_unreadable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(settings, {"a.parquet": _parquet(groups=5)})

    def replacing(uri: str, given: Settings) -> S3Store:
        store = open_store(uri, given)
        assert isinstance(store, S3Store)
        return _Replacing(store.client, store.bucket, store.prefix)

    monkeypatch.setattr("reconcile.sources.services.open_store", replacing)
    assert "was replaced while it was read" in _reason(_run(settings, format="parquet"))


def test_an_object_removed_after_the_listing_is_unreadable(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet()})
    store = open_store(settings.snapshot_uri, settings)
    ref = next(ref for ref in store.listing("s1") if ref.path.endswith("a.parquet"))
    s3_client(settings).delete_object(Bucket=BUCKET, Key=f"nightly/{ref.path}")
    with pytest.raises(UnreadableError, match=r"a\.parquet: is not there"):
        PinnedFile(store, ref).read()


def test_a_bucket_that_is_not_there_is_unreadable(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"snapshot_uri": "s3://reconcile-nowhere"})
    assert "is not there (NoSuchBucket)" in _reason(_run(elsewhere))


@contextmanager
def _proxied(settings: Settings) -> Iterator[tuple[Settings, Any]]:
    with faulty_proxy(settings.s3_endpoint_url or "") as (url, faults):
        yield settings.model_copy(update={"s3_endpoint_url": url}), faults


def test_a_refusal_is_unreadable_and_names_the_permissions(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet()})
    with _proxied(settings) as (proxied, faults):
        faults.status = 403
        assert "access denied (AccessDenied); the role needs s3:ListBucket and s3:GetObject" in _reason(_run(proxied))


def test_credentials_that_have_expired_are_unreadable_and_say_so(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet()})
    with _proxied(settings) as (proxied, faults):
        faults.status, faults.code = 400, "ExpiredToken"
        assert "the credentials have expired (ExpiredToken); renew them and run again" in _reason(_run(proxied))


def test_a_service_that_asks_to_slow_down_is_asked_again(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet(groups=3)})
    with _proxied(settings) as (proxied, faults):
        faults.status, faults.code, faults.most = 503, "SlowDown", 2
        found = _run(proxied)
        assert found.reason is None
        assert (found.verdict, faults.most) == ("equal", 0)


def test_a_service_that_never_recovers_is_unreadable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("core.pinned.s3._RETRY", _impatient())
    _write(settings, {"a.parquet": _parquet()})
    with _proxied(settings) as (proxied, faults):
        faults.status, faults.code = 503, "SlowDown"
        assert "SlowDown" in _reason(_run(proxied))


def test_a_slow_service_is_waited_for(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet(groups=3)})
    with _proxied(settings) as (proxied, faults):
        faults.late_s = 0.2
        assert _run(proxied).verdict == "equal"


def test_a_connection_that_breaks_in_mid_body_is_taken_up_again(settings: Settings) -> None:
    _write(settings, {"a.parquet": _parquet(groups=3)})
    with _proxied(settings) as (proxied, faults):
        faults.cut = 3
        found = _run(proxied)
        assert found.reason is None
        assert (found.verdict, faults.cut) == ("equal", 0)


def test_a_connection_that_always_breaks_is_unreadable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.pinned.s3._RETRY", _impatient())
    _write(settings, {"a.parquet": _parquet()})
    with _proxied(settings) as (proxied, faults):
        faults.cut = 1_000
        assert "the connection broke while it was read" in _reason(_run(proxied))


def _lines(first: int) -> bytes:
    """Rows of one length each, so that a cut at any byte is at the same byte of another version."""
    rows = (f'{{"id": {n:>5}, "v": "value {n}"}}'.ljust(39) + "\n" for n in range(first, first + ROWS))
    return "".join(rows).encode()


def _run_on_lines(settings: Settings) -> ComparisonResult:
    """Compare with lines that no manifest counts."""
    return _run(settings, snapshot={"type": "files", "uri": f"s3://{BUCKET}/lines"})


def test_the_control_that_takes_a_short_body_for_the_whole_finds_rows_that_are_not_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test of connections that break, that would prove nothing."""

    def trusting(store: S3Store, ref: ObjectRef, start: int, length: int) -> bytes:
        key = "/".join(part for part in (store.prefix, ref.path) if part)
        span = f"bytes={start}-{start + length - 1}"
        body = store.client.get_object(Bucket=store.bucket, Key=key, IfMatch=ref.etag, Range=span)["Body"]
        found = bytearray()
        with suppress(HTTPError, ResponseStreamingError, IncompleteReadError):
            while data := body.read(1_000):
                found += data
        # The last whole line, and blanks for what did not come.
        return bytes(found[: found.rindex(b"\n")]).ljust(length - 1) + b"\n"

    monkeypatch.setattr(S3Store, "_get", trusting)
    s3_client(settings).put_object(Bucket=BUCKET, Key="lines/a.ndjson", Body=_lines(0))
    with _proxied(settings) as (proxied, faults):
        faults.cut = 1
        found = _run_on_lines(proxied)
        assert faults.cut == 0
    assert (found.verdict, found.counts and 0 < found.counts.extra < ROWS) == ("different", True), found.reason


def test_the_control_that_asks_for_no_version_reads_two_of_them_as_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test of replaced objects, that would prove nothing."""

    def careless(store: S3Store, ref: ObjectRef, start: int, length: int) -> bytes:
        key = "/".join(part for part in (store.prefix, ref.path) if part)
        span = f"bytes={start}-{start + length - 1}"
        data = store.client.get_object(Bucket=store.bucket, Key=key, Range=span)["Body"].read()
        store.client.put_object(Bucket=store.bucket, Key=key, Body=_lines(1))
        return data

    monkeypatch.setattr(S3Store, "_get", careless)
    s3_client(settings).put_object(Bucket=BUCKET, Key="lines/a.ndjson", Body=_lines(0))
    # More than one request for the file.
    monkeypatch.setattr("reconcile.read.compression.READ_BYTES", 4_096)
    found = _run_on_lines(settings)
    assert (found.verdict, found.counts and (found.counts.extra, found.counts.missing)) == ("different", (1, 1)), (
        found.reason
    )


def test_the_control_that_takes_a_refusal_for_an_empty_file_finds_rows_that_are_not_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the tests of refusals and expired credentials, these would prove nothing."""

    def forgiving(_: S3Store, ref: ObjectRef, start: int, length: int) -> bytes:
        del ref, start, length
        return b""

    s3_client(settings).put_object(Bucket=BUCKET, Key="lines/a.ndjson", Body=_lines(0))
    monkeypatch.setattr(S3Store, "_get", forgiving)
    found = _run_on_lines(settings)
    assert (found.verdict, found.counts and found.counts.extra) == ("different", ROWS), found.reason


def test_nobody_listening_is_unreadable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    closed = settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    assert "cannot be reached" in _reason(_run(closed))


def _impatient() -> Any:
    from core.pinned import s3

    return replace(s3._RETRY, attempts=2, first_wait_s=0.0)
