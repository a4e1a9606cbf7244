"""Several workers are one ingester: the work is shared, signals reach all, and one that fails fails the run."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_river import River

from ingest.progress import Progress, Summary
from ingest.workers import total

MESSAGES = 2_000


def publish(river: River) -> None:
    for start in range(0, MESSAGES, 1_000):
        river.publish_members(range(start, start + 1_000))


def test_two_workers_share_the_work(river: River) -> None:
    publish(river)
    # Little in flight, so that neither can take everything at once.
    run = river.start(
        "run", "--workers", "2", "--until-idle", "1.5", "--json", MILLRACE_INGEST_OUTSTANDING_MESSAGES="100"
    )
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert (summary["landed"], summary["acked"]) == (MESSAGES, MESSAGES)
    first, second = summary["load_id"].split(",")
    by_load = [row["_load_id"] for row in river.rows("members")]
    assert by_load.count(first) > 0
    assert by_load.count(second) > 0
    river.assert_nothing_lost()


def wait_until_landing(river: River, errors: object) -> None:
    """Return once a worker has said that rows are landing."""
    for line in errors:  # type: ignore[attr-defined]
        if json.loads(line).get("landed", 0) > 0:
            return
    pytest.fail("no worker landed anything")


SLOWLY = {
    "MILLRACE_INGEST_BATCH_ROWS": "10", "MILLRACE_INGEST_BATCH_ROWS_MAX": "10",
    "MILLRACE_INGEST_OUTSTANDING_MESSAGES": "50", "MILLRACE_INGEST_APPEND_CONCURRENCY": "1",
    "MILLRACE_INGEST_PROGRESS_S": "0.05",
}  # fmt: skip


def test_a_signal_reaches_every_worker(river: River) -> None:
    publish(river)
    run = river.start("run", "--workers", "2", "--json", **SLOWLY)
    wait_until_landing(river, run.stderr)
    run.send_signal(signal.SIGTERM)
    output, errors = run.communicate()
    assert run.returncode == 0, errors
    summary = json.loads(output)
    assert summary["acked"] == summary["landed"] == len(river.landed_ids())
    assert len(summary["load_id"].split(",")) == 2


FIRST_WORKER = """
from pathlib import Path
from ingest.failpoints import Failpoint
from ingest.settings import IngestSettings
from ingest.workers import Order, _begin

worker = _begin(1, Order(None, IngestSettings(), Failpoint()))
print(Path(f"/proc/{worker.process.pid}/status").read_text())
worker.process.kill()
"""


def test_even_the_first_worker_of_a_process_begins_with_signals_that_wait() -> None:
    told = subprocess.run([sys.executable, "-c", FIRST_WORKER], capture_output=True, text=True, check=True).stdout
    [blocked] = [int(line.split()[1], 16) for line in told.splitlines() if line.startswith("SigBlk")]
    for number in (signal.SIGTERM, signal.SIGINT):
        assert blocked & (1 << (number - 1))


def test_a_worker_that_dies_fails_the_run_and_stops_the_others(river: River) -> None:
    publish(river)
    run = river.start("run", "--workers", "2", **SLOWLY)
    wait_until_landing(river, run.stderr)
    victim, *others = [
        child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())
    ]
    victim.kill()
    _, errors = run.communicate()
    assert run.returncode == 1
    assert "ended with exit code -9" in errors
    assert not any(other.is_running() for other in others)


def test_workers_whose_parent_is_gone_stop(river: River) -> None:
    publish(river)
    run = river.start("run", "--workers", "2", **SLOWLY)
    wait_until_landing(river, run.stderr)
    children = psutil.Process(run.pid).children()
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=15)
    deadline = time.monotonic() + 10
    while any(child.is_running() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_missing_resource_is_told_as_by_one_process(river: River) -> None:
    run = river.start("run", "--workers", "2", MILLRACE_PROJECT="no-such-project")
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "NOT_FOUND" in errors
    assert "ingest setup" in errors


counts = st.integers(0, 10**6)
summaries = st.builds(
    lambda received, tables, seconds: Summary(
        **{
            **{name: getattr(Progress("a").summary(), name) for name in Summary.__struct_fields__},
            "received": received,
            "tables": tables,
            "seconds": seconds,
        }
    ),
    counts,
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 100)),
    st.floats(0, 100),
)


@given(st.lists(summaries, min_size=1, max_size=4))
def test_the_sum_of_summaries_counts_everything_once(found: list[Summary]) -> None:
    added = total(found)
    assert added.received == sum(one.received for one in found)
    assert sum(added.tables.values()) == sum(sum(one.tables.values()) for one in found)
    assert added.seconds == max(one.seconds for one in found)
