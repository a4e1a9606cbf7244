"""Scratch space that is full: unreadable, with what to do, and never fewer rows."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.errors import UnreadableError
from reconcile.read import spill as spilling
from reconcile.read.spill import spill

SCHEMA = pa.schema([("c0", pa.int64())])


def _rows() -> Iterator[pa.RecordBatch]:
    for first in range(0, 300_000, 1_000):
        yield pa.record_batch([pa.array(range(first, first + 1_000))], schema=SCHEMA)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_disk_that_is_full_is_unreadable_and_ends_the_other_readers(tmp_path: Path) -> None:
    (tmp_path / "000.parquet").symlink_to("/dev/full")
    stop = threading.Event()
    with pytest.raises(UnreadableError, match="point TMPDIR at a larger disk"):
        spill([_rows], SCHEMA, tmp_path, workers=1, stop=stop, on_rows=lambda _: None)
    assert stop.is_set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_the_control_that_trusts_the_disk_takes_what_it_lost_for_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""

    def trusting(*arguments: Any) -> Any:
        try:
            return written(*arguments)
        except OSError:
            return spilling._Written(300_000, None, 0)

    written = spilling._written
    monkeypatch.setattr(spilling, "_written", trusting)
    (tmp_path / "000.parquet").symlink_to("/dev/full")
    stop = threading.Event()
    found = spill([_rows], SCHEMA, tmp_path, workers=1, stop=stop, on_rows=lambda _: None)
    assert (found.rows, stop.is_set()) == (300_000, False)


def test_another_fault_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        raise ConnectionResetError("gone")
        yield

    with pytest.raises(ConnectionResetError):
        spill([broken], SCHEMA, tmp_path, workers=1, stop=threading.Event(), on_rows=lambda _: None)
