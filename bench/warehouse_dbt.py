"""dbt in this process, as the pipeline runs it, and what a run costs it and BigQuery together."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.result import Run
from core.settings import Settings
from pipeline.dbt_project import collecting_rarely, fresh

ROOT: Final = Path(__file__).parents[1]


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """Tell dbt, whose profile reads the environment, where BigQuery is.

    Args:
        settings: where.
    """
    told = {
        "MILLRACE_PROJECT": settings.project,
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host or "",
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host or "",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class Cost:
    """Measures what dbt and BigQuery spend.

    Attributes:
        bigquery_pid: process of the local BigQuery.
    """

    bigquery_pid: int

    @contextmanager
    def of(self, items: int, runs: list[Run]) -> Iterator[None]:
        """Measure a block.

        Args:
            items: what the block processes.
            runs: where the measurement is appended: CPU time of both processes, and wall time.
        """
        cpu_s, wall_s = self._cpu_s(), time.monotonic()
        yield
        runs.append(Run(items, self._cpu_s() - cpu_s, time.monotonic() - wall_s))

    def _cpu_s(self) -> float:
        times = psutil.Process(self.bigquery_pid).cpu_times()
        return time.process_time() + times.user + times.system


class Dbt:
    """The project, parsed once.

    Args:
        folder: scratch space.
    """

    def __init__(self, folder: Path) -> None:
        self._options = [
            *("--project-dir", str(ROOT), "--profiles-dir", str(ROOT / "profiles"), "--target", "local"),
            *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs"), "--log-level", "none"),
        ]
        self._manifest: Any = None
        self._manifest = self._invoke(["parse"]).result

    def run(self, models: Sequence[str], *, full_refresh: bool = False) -> None:
        """Run models without their tests.

        Args:
            models: which.
            full_refresh: whether they are built anew.

        Raises:
            RuntimeError: when one fails; the message says why.
        """
        self._invoke(["run", "--select", *models, *(["--full-refresh"] if full_refresh else [])])

    def build(self, selector: str, *, tests: bool) -> None:
        """Build a zone.

        Args:
            selector: the zone, as `selectors.yml` calls it.
            tests: whether the data is tested, too.

        Raises:
            RuntimeError: when something fails; the message says why.
        """
        left_out = ["unit_test"] if tests else ["unit_test", "test"]
        # as `pipeline.dbt_project` builds
        self._invoke(["build", "--selector", selector, "--no-write-json", "--exclude-resource-type", *left_out])

    def _invoke(self, arguments: Sequence[str]) -> Any:
        from dbt.cli.main import dbtRunner

        manifest = None if self._manifest is None else fresh(self._manifest)
        with collecting_rarely():
            outcome = dbtRunner(manifest=manifest).invoke([*arguments, *self._options])
        if not outcome.success:
            results = getattr(outcome.result, "results", None) or ()
            faults = [f"{each.node.name}: {each.message}" for each in results if each.status in ("error", "fail")]
            raise RuntimeError(f"dbt {arguments[0]} failed: {'; '.join(faults) or outcome.exception}")
        return outcome
