"""What `pipeline status` shows: the last run of each zone, who builds it now, and the latest runs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from pipeline.config import PipelineConfig
from pipeline.history import Run
from pipeline.locks import LockOwner
from pipeline.reconciliation import STAGE


@dataclass(frozen=True)
class Status:
    """Where the pipeline of this machine stands.

    Attributes:
        config: the zones there are.
        now: when this was gathered (UTC).
        last: last run of each stage that has one.
        recent: latest runs of all stages, newest first.
        owners: who builds each zone now; None where nobody does.
    """

    config: PipelineConfig
    now: datetime
    last: Mapping[str, Run]
    recent: tuple[Run, ...]
    owners: Mapping[str, LockOwner | None]

    def to_json(self) -> dict[str, Any]:
        """Return it ready for JSON; a zone that was never built has the status `never`."""
        return {
            "zones": [
                {
                    "zone": zone.name,
                    "every_s": zone.every.total_seconds(),
                    "status": self.last[zone.name].status if zone.name in self.last else "never",
                    "last_run": _plain(self.last.get(zone.name)),
                    "building": _plain(self.owners.get(zone.name)),
                }
                for zone in self.config.zones
            ],
            "reconciliation": _plain(self.last.get(STAGE)),
            "recent": [_plain(run) for run in self.recent],
        }

    def print(self, console: Console) -> None:
        """Print it for people.

        Args:
            console: where to.
        """
        console.print(self._stages())
        if self.recent:
            console.print()
            console.print(self._runs())
        for error in self._errors():
            # Whole and below the table: a column of it would be a few characters wide.
            console.print()
            console.print(error, style="red", markup=False, highlight=False, soft_wrap=True)

    def _stages(self) -> Table:
        table = _table("stage", "every", "last run", "began", "seconds", "building now")
        cadences = {zone.name: zone.every for zone in self.config.zones}
        if self.config.reconciliation is not None:
            cadences[STAGE] = self.config.reconciliation.every
        for stage, every in cadences.items():
            run, owner = self.last.get(stage), self.owners.get(stage)
            table.add_row(
                stage,
                _length(every),
                run.status if run else "never",
                f"{_ago(run.started_at, self.now)} ago" if run else "",
                f"{run.seconds:.1f}" if run else "",
                str(owner or ""),
            )
        return table

    def _runs(self) -> Table:
        table = _table("began (UTC)", "stage", "status", "models", "tests", "seconds")
        for run in self.recent:
            table.add_row(
                f"{run.started_at:%Y-%m-%d %H:%M:%S}",
                run.stage,
                run.status,
                str(run.models_built),
                str(run.tests_passed),
                f"{run.seconds:.1f}",
            )
        return table

    def _errors(self) -> Iterator[str]:
        """Yield the reasons of the failed runs shown, each once: a stage that fails every minute fails alike."""
        told = set[tuple[str, str]]()
        for run in self.recent:
            if run.error and (run.stage, run.error) not in told:
                told.add((run.stage, run.error))
                yield f"{run.stage}, {run.started_at:%H:%M:%S}: {run.error}"


def _table(*headers: str) -> Table:
    # Nothing in these columns is long, so none is folded: a narrow terminal cuts the last ones short.
    columns = (Column(header, no_wrap=True) for header in headers)
    return Table(*columns, box=None, header_style="bold")


def _length(time: timedelta) -> str:
    """Return a cadence as its configuration writes it: in the largest unit that leaves a whole number."""
    seconds = int(time.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _ago(instant: datetime, now: datetime) -> str:
    seconds = max(0, int((now - instant).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _plain(record: Run | LockOwner | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(record).items()}
