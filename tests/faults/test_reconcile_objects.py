"""A snapshot of more objects than ten listings hold: every page is read, over S3's own protocol."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.s3.models import s3_backends

from core.clients import s3_client
from core.pinned import ObjectRef, S3Store
from core.settings import Settings
from devstack.s3.server import DUMMY_CREDENTIALS, running_s3
from reconcile import ReconcileConfig, run
from reconcile.result import ComparisonResult

OBJECTS = 10_050
PAGE = 1_000
ROWS = 62
BUCKET = "many-objects"


@pytest.fixture(scope="module")
def snapshot() -> Iterator[Settings]:
    """Objects with one row each where a page begins, and in the last; all others are empty."""
    with running_s3() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in DUMMY_CREDENTIALS.items():
            patch.setenv(name, value)
        settings = Settings(s3_endpoint_url=address.url)
        s3_client(settings).create_bucket(Bucket=BUCKET)
        # A request an object would take minutes: they are put where the server keeps them.
        [backend] = [backends["aws"] for backends in s3_backends.values() if BUCKET in backends["aws"].buckets]
        for number in range(OBJECTS):
            holds = number % PAGE in (0, 1, PAGE - 2, PAGE - 1) or number >= OBJECTS - 20
            body = json.dumps({"id": number, "v": "x"}).encode() if holds else b""
            backend.put_object(BUCKET, f"s1/things/part-{number:06}.ndjson", body)
        yield settings


@pytest.fixture
def compared(snapshot: Settings, tmp_path: Path) -> Any:
    """Compares the objects with a file of the rows that they hold together."""
    ids = [n for n in range(OBJECTS) if n % PAGE in (0, 1, PAGE - 2, PAGE - 1) or n >= OBJECTS - 20]
    (tmp_path / "things").mkdir()
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("v", pa.string())])
    pq.write_table(pa.table({"id": ids, "v": ["x"] * len(ids)}, schema), tmp_path / "things/a.parquet")
    document = {
        "version": 1,
        "comparisons": [
            {
                "name": "things",
                "key": ["id"],
                "warehouse": {"type": "files", "uri": (tmp_path / "things").as_uri()},
                "snapshot": {"type": "files", "uri": f"s3://{BUCKET}/s1/things"},
            }
        ],
    }

    def compare() -> ComparisonResult:
        [found] = run(ReconcileConfig.model_validate(document), snapshot, audit=False).comparisons
        return found

    assert len(ids) == ROWS
    return compare


def test_every_page_of_a_listing_is_read(compared: Any) -> None:
    found = compared()
    assert found.reason is None
    assert (found.verdict, found.counts.matched) == ("equal", ROWS)
    assert len([each for each in found.inputs.objects if each.uri.startswith("s3://")]) == OBJECTS


def test_the_control_that_stops_at_the_first_page_finds_rows_that_are_not_missing(
    compared: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    whole = S3Store.listing

    def first_page(store: S3Store, prefix: str) -> tuple[ObjectRef, ...]:
        return whole(store, prefix)[:PAGE]

    monkeypatch.setattr(S3Store, "listing", first_page)
    found = compared()
    assert (found.verdict, found.counts.matched, found.counts.extra) == ("different", 4, ROWS - 4)
