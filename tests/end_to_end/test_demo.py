"""`devstack demo`, small: what `make demo` does with 20,000 members, in every test run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Half a minute of dbt and a dozen processes: slow where the machine is busy with something else.
pytestmark = pytest.mark.timeout(900)

DEVSTACK = str(Path(sys.executable).with_name("devstack"))


def test_the_demo_proves_the_river_and_leaves_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    size = ["--members", "300", "--events", "3000", "--increments", "1"]
    result = subprocess.run(
        [DEVSTACK, "demo", *size, "--folder", str(folder)], capture_output=True, text=True, timeout=840
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "The river holds" in result.stdout

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ok"] is True
    assert summary["events_sent"] == summary["raw_distinct"] + summary["dead_lettered"] > 3000
    assert summary["dead_lettered"] == summary["poison_sent"] > 0
    assert summary["sets_sent"] > 0
    assert summary["set_rows"] > 0
    assert summary["ingester_kills"] == 1
    assert summary["tables_equal"] == 13
    assert summary["differences_found"] == summary["differences_planted"] > 20
    for path in summary["artifacts"].values():
        assert Path(path).exists()
    page = Path(summary["artifacts"]["dbt docs"]).read_text()
    assert "ms_member" in page
    assert not (folder / "stack" / "state.json").exists(), "the stack is left running"
