"""Comparing two sides that lie in Parquet files: our modes, the floor of a scan, S3, and the peers."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from bench.environments import NoEnvironmentError, environment
from bench.measure import Contender, start
from bench.result import Case, Run
from core.clients import s3_client
from core.contracts import DataType
from core.errors import MillraceError
from core.pinned import ObjectStore, open_store
from core.settings import Settings
from devstack.s3.server import DUMMY_CREDENTIALS
from reconcile.compare.engine import EngineLimits, How, compare
from reconcile.plans import ComparisonPlan, PlannedColumn, SnapshotPlan, WarehousePlan
from reconcile.read.direct import Direct, check_unchanged, read_direct, read_footers
from reconcile.read.warehouse import WarehouseTable
from reconcile.result import Mode
from reconcile.rules import EXACT

_FILES: Final = 16
_ROW_GROUP: Final = 122_880
_CHANGED_EVERY, _LOST_EVERY = 5_000, 10_000
_MEMORY_MB: Final = 512
_TIMEOUT_S: Final = 1_800.0
_START_S: Final = 60.0
_SCRIPTS: Final = Path(__file__).parent / "peer-scripts"
_COLUMNS: Final[dict[str, tuple[DataType, str]]] = {
    "id": ("int64", "i"),
    "member_id": ("int64", "i % 100000"),
    "store_id": ("int64", "if(i % 10 = 0, null, i % 400)::int"),
    "kind": ("string", "if(i % 20 = 0, 'refund', 'purchase')"),
    "amount": ("numeric", "((hash(i) % 1000000)::bigint / 100)::decimal(12, 2)"),
    "currency": ("string", "'EUR'"),
    "item_count": ("int64", "(i % 12 + $changed * (i % 5000 = 7)::int)::int"),
    "method": ("string", "if(i % 7 = 0, null, 'card')"),
    "score": ("float64", "(hash(i + 1) % 1000003) / 1000.0::double"),
    "flag": ("bool", "hash(i) % 3 = 0"),
    "day": ("date", "date '2020-01-01' + (i % 2000)::int"),
    "occurred_at": ("timestamp", "make_timestamp(1767600000000000 + i * 1000003) at time zone 'UTC'"),
}
"""How the columns of row `i` are made."""


@dataclass(frozen=True)
class Files:
    """Two sides to compare.

    Attributes:
        folder: the warehouse's files in `w`, the snapshot's in `s`.
        rows: row numbers of each side, of which one in 10,000 is not there.
        settings: where S3 is, for a snapshot that lies there.
        snapshot: URI of the snapshot's files.
        threads: threads of the engine; of one, none waits for another, which would be charged as work.
    """

    folder: Path
    rows: int
    settings: Settings
    snapshot: str
    threads: int = 1

    @property
    def items(self) -> int:
        """Rows of both sides."""
        return 2 * (self.rows - self.rows // _LOST_EVERY)

    @property
    def expected(self) -> tuple[int, int, int]:
        """How many rows are extra, missing and changed."""
        lost = self.rows // _LOST_EVERY
        return lost, lost, self.rows // _CHANGED_EVERY


def write_files(folder: Path, rows: int) -> Files:
    """Write both sides.

    Args:
        folder: where to; made when absent.
        rows: row numbers of each side, a multiple of 160,000.

    Returns:
        What was written.
    """
    selected = ", ".join(f"{sql} as {name}" for name, (_, sql) in _COLUMNS.items())
    step = rows // _FILES
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for side, changed, lost in (("w", 0, 3), ("s", 1, 5)):
            (folder / side).mkdir(parents=True)
            for number in range(_FILES):
                table = connection.execute(
                    f"select {selected} from range($first, $last) t(i) where i % {_LOST_EVERY} <> $lost",  # noqa: S608 - our own names
                    {"first": number * step, "last": (number + 1) * step, "lost": lost, "changed": changed},
                ).to_arrow_table()
                pq.write_table(
                    table,
                    folder / side / f"part-{number:05}.parquet",
                    row_group_size=_ROW_GROUP,
                    compression="zstd",
                    write_page_checksum=True,
                )
    return Files(folder, rows, Settings(), (folder / "s").absolute().as_uri())


def typed(files: Files) -> Run:
    """Compare by value."""
    return _compared(files, "typed")


def checksum(files: Files) -> Run:
    """Compare checksums, and by value what they leave."""
    return _compared(files, "checksum")


def scan(files: Files) -> Run:
    """Read every value of both sides, and compare nothing."""
    looked_at = ", ".join(f"min({name}), max({name})" for name in _COLUMNS)
    began = start()
    with duckdb.connect(config={"threads": files.threads}) as connection:
        connection.execute("set enable_progress_bar = false")
        for side in ("w", "s"):
            connection.execute(f"select count(*), {looked_at} from '{files.folder}/{side}/*.parquet'").fetchall()  # noqa: S608 - our own names
    return began.stop(files.items)


def datacompy(files: Files) -> Run:
    """Compare with datacompy on Polars, in its own environment."""
    return _peer(
        files, environment("datacompy", ("datacompy==1.1.0", "polars==1.33.1", "pyarrow")), "compare_datacompy.py"
    )


def reladiff(files: Files) -> Run:
    """Compare with reladiff's hashdiff, in its own environment."""
    columns = ",".join(name for name in _COLUMNS if name != "id")
    return _peer(files, environment("reladiff", ("reladiff[duckdb]==0.6.0",)), "compare_reladiff.py", columns)


def peers(files: Files, *, quick: bool) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Measure the peers, once each: the slowest takes minutes.

    Args:
        files: what to compare.
        quick: whether to leave them out.

    Returns:
        A case for each that could be measured, and why the others could not.
    """
    if quick:
        return (), ("the peers were left out: a quick run makes no environments",)
    cases, notes = [], []
    for name, work in (("datacompy", datacompy), ("reladiff", reladiff)):
        try:
            cases.append(Case(name, "peer", (work.__doc__ or "").rstrip("."), (work(files),)))
        except (NoEnvironmentError, subprocess.SubprocessError, RuntimeError) as error:
            told = error.stderr[-400:] if isinstance(error, subprocess.CalledProcessError) else str(error)
            notes.append(f"{name} was left out: {told}")
    return tuple(cases), tuple(notes)


@contextmanager
def on_s3(files: Files, folder: Path) -> Iterator[Files]:
    """Serve the snapshot's files by a local S3 in a process of its own.

    Args:
        files: what to serve.
        folder: where the server tells its port.

    Yields:
        The same comparison, with the snapshot on S3.
    """
    port_file = folder / "s3.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "devstack.s3", "--port", "0", "--port-file", str(port_file)], stderr=subprocess.DEVNULL
    )
    before = dict(os.environ)
    # The contenders' processes find them there, as boto3 wants.
    os.environ.update(DUMMY_CREDENTIALS)
    try:
        _until(port_file, process)
        port = json.loads(port_file.read_text(encoding="utf-8"))["port"]
        settings = files.settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{port}"})
        client = s3_client(settings)
        client.create_bucket(Bucket="bench")
        for path in sorted((files.folder / "s").iterdir()):
            client.upload_file(str(path), "bench", f"s/{path.name}")
        yield replace(files, settings=settings, snapshot="s3://bench/s")
    finally:
        os.environ.clear()
        os.environ.update(before)
        process.terminate()
        process.wait()


def _until(port_file: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while not port_file.is_file():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the local S3 did not start")
        time.sleep(0.05)


def _compared(files: Files, mode: Mode) -> Run:
    plan = _plan()
    began = start()
    with tempfile.TemporaryDirectory(dir=files.folder) as name:
        scratch = Path(name)
        stores = [open_store((files.folder / "w").absolute().as_uri(), files.settings)]
        stores.append(open_store(files.snapshot, files.settings))
        sides = [_side(plan, store, scratch / str(number)) for number, store in enumerate(stores)]
        limits = EngineLimits(_MEMORY_MB, files.threads, 25)
        found = compare(plan, *sides, scratch=scratch, limits=limits, export=None, values=False, how=How(mode))
        for store, side in zip(stores, sides, strict=True):
            for file in side.contents:
                check_unchanged(store, file.ref)
    measured = began.stop(files.items)
    counts = found.counts
    if (counts.extra, counts.missing, counts.changed) != files.expected:
        raise RuntimeError(f"not what was planted: {counts}")
    return measured


def _side(plan: ComparisonPlan, store: ObjectStore, folder: Path) -> Direct:
    folder.mkdir()
    names = tuple(column.snapshot_name for column in plan.columns)
    footers = read_footers(plan.columns, names, (), store, store.listing(""), workers=2)
    if footers is None:
        raise MillraceError("the files cannot be scanned as they are")
    return read_direct(footers, (), store, folder, workers=2, stop=threading.Event(), on_rows=lambda _: None)


def _plan() -> ComparisonPlan:
    columns = tuple(
        PlannedColumn(name, name, data_type, name == "id", EXACT, None, cast=False)
        for name, (data_type, _) in _COLUMNS.items()
    )
    warehouse = WarehousePlan(WarehouseTable("bench-reconcile", "structure", "files"), (), None, "")
    return ComparisonPlan("files", None, columns, warehouse, SnapshotPlan((), "parquet", None, ()), ())


def _peer(files: Files, python: Path, script: str, *arguments: str) -> Run:
    command = [str(python), str(_SCRIPTS / script), str(files.folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    told = json.loads(done.stdout.splitlines()[-1])
    if (told["extra"], told["missing"], told["changed"]) != files.expected:
        raise RuntimeError(f"found {told} and not {files.expected}")
    return Run(files.items, told["cpu_s"], told["wall_s"])


ON_S3: Final = "typed, snapshot on S3"
ON_ALL_CORES: Final = "typed, all cores"
CONTENDERS: Final = (
    Contender("typed", "ours", "two sides in files, every page verified, joined by value", typed),
    Contender("checksum", "ours", "the same by checksums, and by value what they leave", checksum),
    Contender(ON_ALL_CORES, "ours", "the same as typed, with a thread a core", typed),
    Contender(ON_S3, "ours", "the same as typed, one side through a local S3", typed),
    Contender("scan of the files", "floor", "every value of both sides read by DuckDB", scan),
)
