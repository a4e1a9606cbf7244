"""Checksums kept from run to run: what is still the same is not read again, and nothing that differs is missed."""

import io
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reconcile_world import Estate, Faults, faulty_proxy

from core.clients import s3_client
from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.comparing import Progress
from reconcile.result import ComparisonResult

FILES, EACH = 6, 200
ROWS = FILES * EACH
BUCKET = "reconcile-trees"


def _rows(number: int, **changed: Any) -> pa.Table:
    ids = range(number * EACH, (number + 1) * EACH)
    notes = [changed.get(f"n{key}", f"note {key}") for key in ids]
    return pa.table({"id": pa.array(ids, pa.int64()), "note": notes, "code": [f"k{key}" for key in ids]})


def _write(folder: Path, number: int, table: pa.Table) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / f"{number}.parquet", row_group_size=50, write_page_checksum=True)


def _run(
    sides: tuple[str, str], state: Path | None, settings: Settings | None = None, **changes: Any
) -> tuple[ComparisonResult, Counter[str]]:
    """Return what was found, and of how many rows the pages were read, by side."""
    read: Counter[str] = Counter()

    def on_progress(progress: Progress) -> None:
        read[progress.phase] += progress.rows

    warehouse, snapshot = ({"type": "files", "uri": uri, "format": "parquet"} for uri in sides)
    comparison = {"name": "things", "key": ["id"], "mode": "checksum", **changes}
    config = ReconcileConfig.model_validate(
        {"version": 1, "comparisons": [comparison | {"warehouse": warehouse, "snapshot": snapshot}]}
    )
    [found] = run(config, settings or Settings(), audit=False, state=state, on_progress=on_progress).comparisons
    assert found.reason is None, found.reason
    return found, read


@pytest.fixture
def sides(tmp_path: Path) -> tuple[str, str]:
    for side in ("w", "s"):
        for number in range(FILES):
            _write(tmp_path / side, number, _rows(number))
    return (tmp_path / "w").as_uri(), (tmp_path / "s").as_uri()


@pytest.mark.parametrize("key", ["id", "code"])
def test_the_second_run_reads_nothing_and_the_third_only_what_changed(
    sides: tuple[str, str], tmp_path: Path, key: str
) -> None:
    state = tmp_path / "state"
    found, read = _run(sides, state, key=[key])
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("equal", ROWS, ROWS)
    found, read = _run(sides, state, key=[key])
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("equal", 0, 0)
    assert found.counts is not None
    assert (found.counts.matched, found.counts.warehouse_rows, found.counts.snapshot_rows) == (ROWS, ROWS, ROWS)
    assert found.evidence is not None
    assert f"the checksums of {2 * FILES} files were kept" in found.evidence.words
    # A file that was written anew with the same rows is read, and nothing for its sake.
    _write(tmp_path / "s", 1, _rows(1))
    found, read = _run(sides, state, key=[key])
    assert (found.verdict, read["warehouse"], read["snapshot"]) == ("equal", 0, EACH)
    # One changed row: its file on this side, and on the other side the file that holds its bucket.
    _write(tmp_path / "s", 4, _rows(4, n850="other"))
    found, read = _run(sides, state, key=[key])
    assert found.counts is not None
    assert (found.counts.changed, found.counts.matched) == (1, ROWS - 1)
    assert found.sample[0].key[0].value in ("850", "k850")
    assert (read["warehouse"], read["snapshot"]) == (EACH, EACH)
    # And again, though nothing changed since: the buckets still differ.
    found, read = _run(sides, state, key=[key])
    assert found.counts is not None
    assert (found.counts.changed, read["warehouse"], read["snapshot"]) == (1, EACH, EACH)


def test_what_is_kept_is_of_these_columns_rules_and_filters(sides: tuple[str, str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    _run(sides, state)
    for changes in (
        {"columns": {"note": {"case": "ignore"}}},
        {"where": {"code": ["k1", "k2"]}, "snapshot_where": {"code": ["k1", "k2"]}},
    ):
        found, read = _run(sides, state, **changes)
        assert found.verdict == "equal"
        assert read["snapshot"] == ROWS, changes
    assert _run(sides, state, **changes)[1]["snapshot"] == 0
    assert found.counts is not None
    assert (found.counts.snapshot_rows, found.counts.matched) == (2, 2)


def test_a_file_that_was_cut_since_is_unreadable_and_one_that_is_gone_is_missed(
    sides: tuple[str, str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    _run(sides, state)
    (tmp_path / "s" / "2.parquet").unlink()
    found, read = _run(sides, state)
    assert found.counts is not None
    assert (found.counts.extra, found.counts.snapshot_rows) == (EACH, ROWS - EACH)
    assert (read["warehouse"], read["snapshot"]) == (EACH, 0)
    data = (tmp_path / "s" / "3.parquet").read_bytes()
    (tmp_path / "s" / "3.parquet").write_bytes(data[:-20])
    with pytest.raises(AssertionError, match=r"3.parquet"):
        _run(sides, state)


@pytest.mark.parametrize("seed", [1])
def test_whatever_is_edited_between_runs_is_found_as_by_the_join(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    sides = (tmp_path / "w").as_uri(), (tmp_path / "s").as_uri()
    for side in ("w", "s"):
        for number in range(3):
            _write(tmp_path / side, number, _rows(number))
    for _ in range(3):
        for side in ("w", "s"):
            number, key = chance.randrange(4), chance.randrange(3 * EACH)
            table = _rows(number, **{f"n{key}": chance.choice(["x", "y", ""])})
            _write(tmp_path / side, number, table.slice(chance.choice([0, 0, 3])))
        found, _ = _run(sides, tmp_path / "state")
        by_value, _ = _run(sides, None, mode="typed")
        assert (found.counts, found.sample) == (by_value.counts, by_value.sample)


@pytest.fixture(scope="module")
def bucket(estate: Estate) -> Iterator[tuple[Settings, Faults]]:
    s3_client(estate.settings).create_bucket(Bucket=BUCKET)
    with faulty_proxy(estate.settings.s3_endpoint_url or "") as (url, faults):
        yield estate.settings.model_copy(update={"s3_endpoint_url": url}), faults


def _put(settings: Settings, folder: str, number: str, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=50, write_page_checksum=True)
    s3_client(settings).put_object(Bucket=BUCKET, Key=f"{folder}/{number}.parquet", Body=sink.getvalue())


def test_of_the_next_days_snapshot_only_files_of_other_bytes_are_fetched(
    bucket: tuple[Settings, Faults], estate: Estate, sides: tuple[str, str], tmp_path: Path
) -> None:
    settings, faults = bucket
    for day in ("day1", "day2"):
        for number in range(FILES):
            changed = {"n250": "other"} if (day, number) == ("day2", 1) else {}
            _put(estate.settings, day, str(number), _rows(number, **changed))
    requests = []
    for day in ("day1", "day1", "day2"):
        faults.requests = 0
        found, read = _run((sides[0], f"s3://{BUCKET}/{day}"), tmp_path / "state", settings)
        requests.append((found.verdict, read["snapshot"], faults.requests))
    # Each file is fetched in several pieces; of one that is kept, only the footer is.
    assert [part[:2] for part in requests] == [("equal", ROWS), ("equal", 0), ("different", EACH)]
    assert requests[1][2] < requests[2][2] < requests[0][2]


def test_two_files_of_the_same_bytes_are_two_files(
    estate: Estate, bucket: tuple[Settings, Faults], sides: tuple[str, str], tmp_path: Path
) -> None:
    del bucket
    for number in range(FILES):
        _put(estate.settings, "twice", str(number), _rows(number))
    _put(estate.settings, "twice", "2-again", _rows(2))
    for _ in range(2):
        found, _ = _run((sides[0], f"s3://{BUCKET}/twice"), tmp_path / "state", estate.settings)
        assert found.counts is not None
        assert (found.counts.duplicated_keys, found.counts.snapshot_rows) == (EACH, ROWS + EACH)
