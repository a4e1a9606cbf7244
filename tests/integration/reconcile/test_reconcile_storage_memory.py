"""A whole run through the Storage Read API takes the memory that its setting allows, however many rows there are."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_json import schema_field
from reconcile_world import ROOT, Estate, load

ROWS = 80_000
LIMIT_MB = 400
ADDED_MB = 100
"""Between what a comparison by ranges holds of so many rows, some 60 MiB, and what one join of all holds, some 150."""
DATASET = "reconcile_memory"

# The control joins everything in one piece and is given the memory to do so.
_CHILD = """
import json, sys
from pathlib import Path
from core.settings import Settings
from reconcile.compare import joins
from reconcile.config import ReconcileConfig
from reconcile.runner import run

def mb(name):
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) / 1024

def note(progress):
    if progress.phase == "compare":
        peaks["reading"], peaks["before"] = mb("VmHWM:"), mb("VmRSS:")
        # The peak begins anew: see clear_refs in proc(5).
        Path("/proc/self/clear_refs").write_text("5")

peaks = {}
table, snapshot, limit, is_control, settings = sys.argv[1:]
if is_control == "True":
    joins.key_ranges = lambda *_: ()
config = ReconcileConfig.model_validate({
    "version": 1,
    "limits": {"memory_limit": limit, "threads": 1, "readers": 1, "sample": 5},
    "comparisons": [{
        "name": "texts", "key": ["id"], "warehouse": table, "mode": "typed",
        "snapshot": {"type": "files", "uri": snapshot, "format": "parquet"},
    }],
})
[found] = run(config, Settings.model_validate_json(settings), audit=False, on_progress=note).comparisons
peaks["comparing"] = mb("VmHWM:")
assert (found.reason, found.counts.changed) == (None, -(-found.counts.warehouse_rows // 1000)), found
print(json.dumps(peaks))
"""


def _rows(count: int, *, is_changed: bool) -> pa.Table:
    """Texts that no compression makes small; one row in a thousand differs between the sides."""
    texts = ", ".join(f"repeat(md5((i * 4 + {number})::varchar), 2) as text_{number}" for number in range(4))
    statement = f"""
        select i as id, {texts}, if($is_changed and i % 1000 = 0, 'new', 'old') as state
        from range($count) as rows(i)
    """
    with duckdb.connect() as connection:
        return connection.execute(statement, {"count": count, "is_changed": is_changed}).to_arrow_table()


def _measured(
    estate: Estate, folder: Path, count: int, *, limit: str = f"{LIMIT_MB} MB", control: bool = False
) -> dict[str, float]:
    command = [sys.executable, "-c", _CHILD, f"{DATASET}.rows_{count}", (folder / str(count)).as_uri(), limit]
    command += [str(control), estate.settings.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    peaks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return peaks


@pytest.fixture(scope="module")
def sides(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sizes, in the warehouse and as files."""
    folder = tmp_path_factory.mktemp("sides")
    estate.client.create_dataset(DATASET, exists_ok=True)
    schema = [
        schema_field("id", "int64"),
        *(schema_field(f"text_{n}", "string") for n in range(4)),
        schema_field("state", "string"),
    ]
    for count in (ROWS, 4 * ROWS):
        name = f"{estate.client.project}.{DATASET}.rows_{count}"
        load(estate.client, name, schema, _rows(count, is_changed=False))
        (folder / str(count)).mkdir()
        path = folder / str(count) / "rows.parquet"
        pq.write_table(_rows(count, is_changed=True), path, row_group_size=10_000, write_page_checksum=True)
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak since the start is told by Linux")
def test_four_times_the_rows_take_the_memory_of_the_setting_and_one_join_of_all_takes_more(
    estate: Estate, sides: Path
) -> None:
    once, four_times = _measured(estate, sides, ROWS), _measured(estate, sides, 4 * ROWS)
    unbounded = _measured(estate, sides, 4 * ROWS, limit="4 GB", control=True)
    assert four_times["comparing"] < LIMIT_MB
    assert _added(four_times) < ADDED_MB
    # The measure tells the difference: without ranges, and with the memory to do without, all rows of a side are held.
    assert _added(unbounded) > ADDED_MB
    # What is read goes to scratch space message by message: more than a few are never held.
    assert four_times["reading"] < once["reading"] + 128


def _added(peaks: dict[str, float]) -> float:
    """Return by how many MiB the comparison went beyond what the process held when it began."""
    return peaks["comparing"] - peaks["before"]
