"""Scratch space that is full: unreadable, with what to do, and never fewer rows."""

import subprocess
import sys
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


_LIMITED = """
import resource, sys, threading
from pathlib import Path
import pyarrow as pa
from core.errors import UnreadableError
from reconcile.read.spill import spill

schema = pa.schema([("c0", pa.int64()), ("c1", pa.string())])

def rows():
    for first in range(0, 300_000, 1_000):
        texts = [f"{number:064}" for number in range(first, first + 1_000)]
        yield pa.record_batch([pa.array(range(first, first + 1_000)), pa.array(texts)], schema=schema)

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
workers = int(sys.argv[3])
try:
    spill([rows] * workers, schema, Path(sys.argv[1]), workers=workers, stop=threading.Event(), on_rows=lambda _: None)
except UnreadableError as error:
    print(error)
"""


@pytest.mark.parametrize(("room", "workers"), [(1_500_000, 1), (2_500_000, 3)])
def test_a_disk_that_fills_up_is_told_and_not_what_fails_after_it(tmp_path: Path, room: int, workers: int) -> None:
    """Row groups stand there, rows are held, and the file cannot be ended; a limit of file sizes acts like a disk."""
    program = [sys.executable, "-c", _LIMITED, str(tmp_path), str(room), str(workers)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert "point TMPDIR at a larger disk" in done.stdout, done.stderr


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
