"""What came of a zone: typed data first, of which the table, the JSON and the log are views."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

NodeKind = Literal["model", "snapshot", "seed", "test", "unit_test", "freshness", "other"]
NodeOutcome = Literal["ok", "warning", "failed", "skipped"]
ZoneStatus = Literal["succeeded", "failed", "locked", "skipped"]

# Hooks, such as those that write the audit, are nodes to dbt, and neither models nor tests.
_MODELS: Final[frozenset[NodeKind]] = frozenset({"model", "snapshot", "seed"})
_TESTS: Final[frozenset[NodeKind]] = frozenset({"test", "unit_test", "freshness"})


@dataclass(frozen=True)
class NodeResult:
    """What came of one dbt node.

    Attributes:
        name: the node's unique name within the project, such as `str_members`.
        kind: what it is.
        outcome: `ok`, `warning` (a test with severity warn), `failed` or `skipped`.
        seconds: wall time it took.
        rows: rows the statement wrote, when the warehouse said so.
        message: what dbt reported; the reason when it failed.
    """

    name: str
    kind: NodeKind
    outcome: NodeOutcome
    seconds: float
    rows: int | None
    message: str


@dataclass(frozen=True)
class ZoneResult:
    """What came of one run of a zone.

    Attributes:
        zone: name of the zone.
        status: `succeeded`, `failed`, `locked` (somebody else builds it) or `skipped` (a zone above failed).
        started_at: when the run began (UTC).
        seconds: wall time it took.
        models_built: models, snapshots and seeds written.
        models_failed: models, snapshots and seeds that failed.
        tests_passed: tests that held, and sources that are fresh.
        tests_warned: tests that did not hold but only warn.
        tests_failed: tests that did not hold, or could not run.
        nodes_skipped: nodes not tried because something they need failed.
        errors: one sentence for each failure; empty when there is none.
        nodes: every node of the zone, in the order of completion.
    """

    zone: str
    status: ZoneStatus
    started_at: datetime
    seconds: float
    models_built: int = 0
    models_failed: int = 0
    tests_passed: int = 0
    tests_warned: int = 0
    tests_failed: int = 0
    nodes_skipped: int = 0
    errors: tuple[str, ...] = ()
    nodes: tuple[NodeResult, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the zone is built and the zones below may follow."""
        return self.status == "succeeded"

    def summary(self) -> dict[str, Any]:
        """Return the result without its nodes, ready for JSON."""
        return {name: _plain(value) for name, value in asdict(self).items() if name != "nodes"}


def zone_result(
    zone: str, started_at: datetime, seconds: float, nodes: tuple[NodeResult, ...], errors: tuple[str, ...] = ()
) -> ZoneResult:
    """Count the nodes of a zone's run into its result.

    Args:
        zone: name of the zone.
        started_at: when the run began (UTC).
        seconds: wall time it took.
        nodes: what came of every node.
        errors: faults of the run as a whole, beside those of its nodes.

    Returns:
        The result; failed when a node or the run failed, or when there was nothing to run, since a selector
        that finds nothing would otherwise pass for a zone that is up to date.
    """
    faults = [*errors, *(f"{node.name}: {node.message}" for node in nodes if node.outcome == "failed")]
    if not nodes and not errors:
        faults.append(f"zone {zone!r} holds no model and no test; check its selector in selectors.yml")
    return ZoneResult(
        zone=zone,
        status="failed" if faults else "succeeded",
        started_at=started_at,
        seconds=seconds,
        models_built=_count(nodes, "ok", _MODELS),
        models_failed=_count(nodes, "failed", _MODELS),
        tests_passed=_count(nodes, "ok", _TESTS),
        tests_warned=_count(nodes, "warning", _TESTS),
        tests_failed=_count(nodes, "failed", _TESTS),
        nodes_skipped=sum(node.outcome == "skipped" for node in nodes),
        errors=tuple(faults),
        nodes=nodes,
    )


def _count(nodes: tuple[NodeResult, ...], outcome: NodeOutcome, kinds: frozenset[NodeKind]) -> int:
    return sum(node.outcome == outcome and node.kind in kinds for node in nodes)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
