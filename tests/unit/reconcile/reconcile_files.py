"""Both sides as Parquet files that the engine scans where they lie, in several files and row groups."""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from reconcile_tables import LIMITS, spilled

from core.pinned import FileStore
from reconcile.compare.engine import TYPED, Compared, EngineLimits, How, compare
from reconcile.plans import ComparisonPlan
from reconcile.read.direct import Direct, read_direct, read_footers
from reconcile.read.text import ARROW


def direct(plan: ComparisonPlan, folder: Path, *, names: tuple[str, ...] | None = None) -> Direct | None:
    """Make the files of a folder ready to be scanned; None when they must be read value by value."""
    store = FileStore(folder)
    names = names or tuple(column.name for column in plan.columns)
    footers = read_footers(plan.columns, names, (), store, store.listing(""), workers=2)
    if footers is None:
        return None
    return read_direct(footers, (), store, folder, workers=2, stop=threading.Event(), on_rows=lambda _: None)


def written(plan: ComparisonPlan, rows: Sequence[Sequence[Any]], folder: Path, *, files: int = 2) -> None:
    """Write rows as a few files of tiny row groups."""
    folder.mkdir()
    size = -(-len(rows) // files) or 1
    for number in range(files):
        part = rows[number * size : (number + 1) * size]
        arrays = [pa.array([row[n] for row in part], ARROW[c.data_type]) for n, c in enumerate(plan.columns)]
        table = pa.Table.from_arrays(arrays, names=[column.name for column in plan.columns])
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=2, write_page_checksum=True)


def compared_files(
    plan: ComparisonPlan,
    warehouse: Sequence[Sequence[Any]],
    snapshot: Sequence[Sequence[Any]],
    *,
    how: How = TYPED,
    limits: EngineLimits = LIMITS,
) -> Compared:
    """Compare rows that lie in files; those that may not be scanned as they are come from scratch space."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        sides = []
        for name, rows in (("w", warehouse), ("s", snapshot)):
            written(plan, rows, scratch / name)
            sides.append(direct(plan, scratch / name) or spilled(plan, rows, scratch / f"{name}.parquet"))
        return compare(plan, *sides, scratch=scratch, limits=limits, export=None, values=False, how=how)
