"""Memory is bounded by the settings and not by the rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from reconcile_tables import column, compared, planned

from core.errors import UnreadableError
from reconcile.compare.engine import EngineLimits

ROWS = 80_000
LIMIT_MB = 128

# Both sides are read as a reader reads them, batch by batch, and one row in a thousand differs.
_CHILD = """
import json, resource, sys, tempfile, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pyarrow as pa
from reconcile_tables import column, planned
from reconcile.compare.engine import EngineLimits, compare
from reconcile.read.sides import stored_schema
from reconcile.read.spill import spill

rows, limit = int(sys.argv[2]), int(sys.argv[3])
plan = planned(column("id", "int64", is_key=True), *(column(f"text_{n}", "string") for n in range(4)))
schema = stored_schema(plan.columns)
STEP = 5_000

def unit(first, last, differs):
    for start in range(first, last, STEP):
        ids = range(start, min(start + STEP, last))
        texts = [f"{n * 2654435761 % 2**32:010}" * 6 for n in ids]
        marked = [text + "!" if differs and n % 1000 == 0 else text for n, text in zip(ids, texts)]
        flags = [[True] * len(ids), [False] * len(ids)]
        yield pa.record_batch([pa.array(ids), texts, texts, texts, marked, *flags], schema=schema)

with tempfile.TemporaryDirectory() as folder:
    sides = []
    for side, differs in (("w", False), ("s", True)):
        place = Path(folder, side)
        place.mkdir()
        half = rows // 2
        units = [lambda a=a, b=b, d=differs: unit(a, b, d) for a, b in ((0, half), (half, rows))]
        sides.append(spill(units, schema, place, workers=2, stop=threading.Event(), on_rows=lambda _: None))
    limits = EngineLimits(memory_mb=limit, threads=2, sample=10)
    found = compare(plan, *sides, scratch=Path(folder), limits=limits, export=None, values=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"peak_mb": peak, "matched": found.counts.matched, "changed": found.counts.changed}))
"""


def _measured(rows: int) -> dict[str, float]:
    command = [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(rows), str(LIMIT_MB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def test_four_times_the_rows_take_no_more_memory_than_the_limit_allows() -> None:
    once, four_times = _measured(ROWS), _measured(4 * ROWS)
    assert (four_times["changed"], four_times["matched"]) == (4 * ROWS // 1000, 4 * ROWS - 4 * ROWS // 1000)
    # Four times the rows exceed the limit, uncompressed; what is over goes to scratch space.
    assert four_times["peak_mb"] < once["peak_mb"] + LIMIT_MB


def test_too_little_memory_is_said_and_is_no_result() -> None:
    plan = planned(column("id", "int64", is_key=True), column("v", "string"))
    limits = EngineLimits(memory_mb=1, threads=2, sample=1)
    with pytest.raises(UnreadableError, match=r"things: .* raise limits\.memory_limit"):
        compared(plan, [(n, "x" * 200) for n in range(20_000)], [(n, "y" * 200) for n in range(20_000)], limits=limits)
