"""Reconciling in many tasks, measured, and what a terabyte in five minutes takes: `python -m bench.reconcile_shards`.

The tasks are processes of the command itself, on files of this machine; the terabyte is arithmetic on what they cost
and on stated assumptions, and says so.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import typer

from bench.reconcile_files import write_files
from core.cli import run as run_app

_COMMAND: Final = (sys.executable, "-c", "from reconcile.cli import main; main()")
_OUTPUT: Final = Path("build/bench/reconcile-shards.json")
_TB: Final = 10**12
_GB: Final = 10**9
_CONFIG: Final = """
version: 1
limits: {{memory_limit: 512 MB, threads: 1, readers: 2}}
comparisons:
  - name: files
    key: [id]
    mode: typed
    warehouse: {{type: files, uri: "{warehouse}"}}
    snapshot: {{type: files, uri: "{snapshot}"}}
"""


@dataclass(frozen=True)
class Measured:
    """A run in some tasks.

    Attributes:
        tasks: how many processes there were.
        shards: into how many ranges the comparison was cut.
        wall_s: from the start of the first until the end of the last, in seconds.
        cpu_s: CPU of all of them, in seconds, starting Python included.
        longest_cpu_s: CPU of the task that took most.
        start_cpu_s: CPU of a task that finds all done: what starting and ending cost.
        rows: rows of both sides.
        size: bytes of both sides, as they lie.
    """

    tasks: int
    shards: int
    wall_s: float
    cpu_s: float
    longest_cpu_s: float
    start_cpu_s: float
    rows: int
    size: int

    @property
    def work_cpu_s(self) -> float:
        """CPU without what starting costs."""
        return self.cpu_s - self.tasks * self.start_cpu_s


@dataclass(frozen=True)
class Assumptions:
    """What the terabyte takes for granted.

    Attributes:
        bytes_cpu_s: bytes, of both sides as they lie, that a CPU second compares: measured.
        network: how many times more CPU a byte costs from a bucket than from a disk.
        utilisation: the share of a core that is planned for.
        cores: cores of a task.
        start_s: from the start of the job until its tasks compare, in seconds.
        task_bytes_s: what a task can fetch, in bytes a second.
        vcpu_second: price of a vCPU second, in dollars.
        gib_second: price of a GiB second, in dollars.
        memory_gib: memory of a task.
        egress_gb: price of a GB out of another cloud, in dollars.
    """

    bytes_cpu_s: float
    network: float = 1.5
    utilisation: float = 0.7
    cores: int = 2
    start_s: float = 30.0
    task_bytes_s: float = 75e6
    vcpu_second: float = 0.000018
    gib_second: float = 0.000002
    memory_gib: float = 2.0
    egress_gb: float = 0.09


@dataclass(frozen=True)
class Plan:
    """What a size in a time takes.

    Attributes:
        tasks: tasks of the job.
        cores: vCPU of all of them.
        bandwidth: bytes a second that come from the buckets.
        compute: dollars for the tasks.
        egress: dollars for one side out of another cloud.
    """

    tasks: int
    cores: int
    bandwidth: float
    compute: float
    egress: float


def plan(size: float, seconds: float, given: Assumptions) -> Plan:
    """Return what comparing so much in so long takes.

    Args:
        size: bytes of both sides as they lie.
        seconds: until the report is there.
        given: what is taken for granted.

    Returns:
        The greater of what the CPU and what the network ask for.
    """
    left = seconds - given.start_s
    by_cpu = size * given.network / given.bytes_cpu_s / left / given.utilisation / given.cores
    by_network = size / left / given.task_bytes_s
    tasks = ceil(max(by_cpu, by_network))
    price = given.cores * given.vcpu_second + given.memory_gib * given.gib_second
    return Plan(tasks, tasks * given.cores, size / left, tasks * seconds * price, size / 2 / _GB * given.egress_gb)


def measure(folder: Path, tasks: int, shard_rows: int) -> Measured:
    """Run the command in some tasks on files that are there.

    Args:
        folder: holds `w` and `s`, as `bench.reconcile_files.write_files` makes them.
        tasks: how many processes at once.
        shard_rows: rows of a shard at most.

    Returns:
        What it took.

    Raises:
        RuntimeError: when a task failed, or the differences are not those that were made.
    """
    config = folder / "reconcile.yml"
    sides = {"warehouse": (folder / "w").absolute().as_uri(), "snapshot": (folder / "s").absolute().as_uri()}
    config.write_text(_CONFIG.format(**sides), encoding="utf-8")
    shared = folder / f"tasks-{tasks}"
    shutil.rmtree(shared, ignore_errors=True)
    began = time.monotonic()
    used = _together(folder, shared, tasks, range(tasks), shard_rows)
    wall_s = time.monotonic() - began
    [start_cpu_s] = _together(folder, shared, tasks, range(1), shard_rows)
    report = json.loads((shared / "run" / "merged.json").read_bytes())
    counts = report["comparisons"][0]["counts"]
    if counts is None or counts["changed"] == 0:
        raise RuntimeError(f"not what was made: {report['comparisons'][0]['reason'] or counts}")
    return Measured(
        tasks=tasks,
        shards=len(list((shared / "run" / "results").glob("[!.]*.json"))),
        wall_s=wall_s,
        cpu_s=sum(used),
        longest_cpu_s=max(used),
        start_cpu_s=start_cpu_s,
        rows=counts["warehouse_rows"] + counts["snapshot_rows"],
        size=sum(path.stat().st_size for side in ("w", "s") for path in (folder / side).iterdir()),
    )


def _together(folder: Path, shared: Path, count: int, indexes: Sequence[int], shard_rows: int) -> list[float]:
    """Run tasks at once, and return the CPU seconds of each."""
    # The command is started where its files lie; its contracts it needs only to be there.
    environment = os.environ | {"MILLRACE_CONTRACTS_PATH": str(Path("dbt_project/models/raw").absolute())}
    running = [
        subprocess.Popen(
            [
                *_COMMAND, "run", "--config", str(folder / "reconcile.yml"), "--no-audit", "--shards", str(shared),
                "--run-id", "run", "--task-index", str(index), "--task-count", str(count),
                "--shard-rows", str(shard_rows), "--output", str(folder / f"out-{count}"),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, env=environment,
        )
        for index in indexes
    ]  # fmt: skip
    used = []
    for process in running:
        told = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        # The one that merges tells of the differences.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1) or b"reconcile:" in told:
            raise RuntimeError(told.decode(errors="replace")[-500:])
        used.append(usage.ru_utime + usage.ru_stime)
    return used


def table(measured: Sequence[Measured]) -> str:
    """Return measurements as a table in Markdown.

    Args:
        measured: the runs.
    """
    lines = [
        "| tasks | shards | wall s | rows a wall s | cores | CPU s | to start | rows a CPU s | MB a CPU s | most |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {run.tasks} | {run.shards} | {run.wall_s:.1f} | {round(run.rows / run.wall_s, -4):,.0f} "
        f"| {run.cpu_s / run.wall_s:.2f} | {run.cpu_s:.1f} | {run.tasks * run.start_cpu_s:.1f} "
        f"| {round(run.rows / run.work_cpu_s, -4):,.0f} | {run.size / run.work_cpu_s / 1e6:.0f} "
        f"| {run.longest_cpu_s:.1f} |"
        for run in measured
    ]
    return "\n".join(lines)


def derived(given: Assumptions, sizes: Sequence[float], seconds: float) -> str:
    """Return what some sizes take as a table in Markdown.

    Args:
        given: what is taken for granted.
        sizes: bytes of both sides as they lie.
        seconds: until the report is there.
    """
    lines = [
        "| both sides, as they lie | tasks | vCPU | from the buckets | compute $ | egress of one side $ |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes:
        found = plan(size, seconds, given)
        lines.append(
            f"| {size / _GB:,.0f} GB | {found.tasks:,} | {found.cores:,} | {found.bandwidth / _GB:.2f} GB/s | "
            f"{found.compute:.2f} | {found.egress:,.0f} |"
        )
    return "\n".join(lines)


app = typer.Typer(add_completion=False)


@app.command()
def shards(
    rows: Annotated[int, typer.Option(help="Rows of each side; a multiple of 160,000.")] = 4_800_000,
    tasks: Annotated[list[int] | None, typer.Option("--tasks", help="How many at once; 1, 2 and 4 by default.")] = None,
    output: Annotated[Path, typer.Option(help="JSON file.")] = _OUTPUT,
) -> None:
    """Measure a run in 1, 2 and 4 tasks, and derive what a terabyte in five minutes takes.

    Examples:
        python -m bench.reconcile_shards

        python -m bench.reconcile_shards --rows 160000 --tasks 2
    """
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as scratch:
        folder = Path(scratch) / "files"
        write_files(folder, rows)
        measured = [measure(folder, count, max(1, rows // 8)) for count in tasks or (1, 2, 4)]
    best = max(run.size / run.work_cpu_s for run in measured)
    load = os.getloadavg()[0]
    output.parent.mkdir(parents=True, exist_ok=True)
    document = {"runs": [asdict(run) for run in measured], "bytes_cpu_s": best, "load": load, "cores": os.cpu_count()}
    output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    typer.echo(table(measured))
    typer.echo(f"\nload average {load:.1f} on {os.cpu_count()} cores\n")
    typer.echo(derived(Assumptions(best), (_TB / 10, _TB, 10 * _TB), 300))


if __name__ == "__main__":
    run_app(app, "bench.reconcile_shards")
