"""Row-by-row comparison of the warehouse with snapshots on object storage.

>>> from core.settings import load_settings
>>> from reconcile import load_config, run
>>> result = run(load_config(), load_settings())  # doctest: +SKIP
>>> result.outcome, result.verdict  # doctest: +SKIP
('passed', 'equal')
>>> [(found.name, found.counts.changed, found.causes) for found in result.comparisons]  # doctest: +SKIP
[('members', 0, ())]

What a run returns is a tree of frozen dataclasses, `RunResult`, which every report is a view of; `read_report` reads
one back from a `report.json`. A difference is a result and no exception; what is raised is a
`core.errors.MillraceError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconcile.comparing import Progress
    from reconcile.conclusions import Cause, Decision, PartitionResult
    from reconcile.config import ReconcileConfig
    from reconcile.config_file import load_config
    from reconcile.plans import RunPlan
    from reconcile.report.files import read_json as read_report
    from reconcile.result import ColumnResult, ComparisonResult, Counts, Difference, RunResult
    from reconcile.runner import plan, run

__all__ = [
    "Cause",
    "ColumnResult",
    "ComparisonResult",
    "Counts",
    "Decision",
    "Difference",
    "PartitionResult",
    "Progress",
    "ReconcileConfig",
    "RunPlan",
    "RunResult",
    "load_config",
    "plan",
    "read_report",
    "run",
]

_HOMES: Final = {
    "Cause": "reconcile.conclusions",
    "ColumnResult": "reconcile.result",
    "ComparisonResult": "reconcile.result",
    "Counts": "reconcile.result",
    "Decision": "reconcile.conclusions",
    "Difference": "reconcile.result",
    "PartitionResult": "reconcile.conclusions",
    "Progress": "reconcile.comparing",
    "ReconcileConfig": "reconcile.config",
    "RunPlan": "reconcile.plans",
    "RunResult": "reconcile.result",
    "load_config": "reconcile.config_file",
    "plan": "reconcile.runner",
    "read_report": "reconcile.report.files",
    "run": "reconcile.runner",
}
_NAMES: Final = {"read_report": "read_json"}
"""Names that are other ones at home."""


def __getattr__(name: str) -> Any:
    # Looked up on first use (PEP 562): Google's clients take seconds to import, and `--help` needs none.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _NAMES.get(name, name))
