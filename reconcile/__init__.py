"""Row-by-row comparison of the warehouse with snapshots on object storage.

>>> from core.settings import load_settings
>>> from reconcile import load_config, run
>>> result = run(load_config(), load_settings())  # doctest: +SKIP
>>> result.verdict  # doctest: +SKIP
'equal'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconcile.config import ReconcileConfig, load_config
    from reconcile.result import RunResult
    from reconcile.runner import Progress, plan, run

__all__ = ["Progress", "ReconcileConfig", "RunResult", "load_config", "plan", "run"]

_HOMES: Final = {
    "Progress": "reconcile.runner",
    "ReconcileConfig": "reconcile.config",
    "RunResult": "reconcile.result",
    "load_config": "reconcile.config",
    "plan": "reconcile.runner",
    "run": "reconcile.runner",
}


def __getattr__(name: str) -> Any:
    # Looked up on first use (PEP 562): Google's clients take seconds to import, and `--help` needs none.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
