"""The proof: reconcile structure with the truth, then with a copy that differs in known ways."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.contracts import Contracts
from devstack.commands import run_json
from devstack.demo.summary import Difference
from devstack.world.planted import EXTRA_ROW, MISSING_ROW, PlantedDifference

_SEEN_AS = {MISSING_ROW: "extra", EXTRA_ROW: "missing"}
"""A row taken out of the snapshot is extra in the warehouse; one put into it is missing there."""


@dataclass(frozen=True)
class Reconciliation:
    """What `reconcile run` reported.

    Attributes:
        compared: tables compared.
        equal: tables that are equal.
        differences: every difference it listed.
        report: its page.
    """

    compared: int
    equal: int
    differences: frozenset[Difference]
    report: Path


def reconcile(environment: Mapping[str, str], snapshot_id: str, output: Path, log: Path) -> Reconciliation:
    """Compare every structure table with a snapshot.

    Args:
        environment: variables that point at the stack.
        snapshot_id: the snapshot's name.
        output: folder for the reports.
        log: file for the log.

    Returns:
        What was found.

    Raises:
        MillraceError: when the job fails for another reason than differences.
    """
    arguments = ["run", "--snapshot", snapshot_id, "--output", str(output)]
    document = run_json("reconcile", arguments, environment, log, accepted=(0, 1))
    comparisons = document["comparisons"]
    return Reconciliation(
        compared=len(comparisons),
        equal=sum(comparison["verdict"] == "equal" for comparison in comparisons),
        differences=frozenset(found for comparison in comparisons for found in _found(comparison)),
        report=output / "report.html",
    )


def planted_differences(contracts: Contracts, planted: Iterable[PlantedDifference]) -> frozenset[Difference]:
    """Return planted differences in the words of the reconciliation.

    Args:
        contracts: the tables.
        planted: what was planted.

    Returns:
        The same differences, as they must be found.
    """
    return frozenset(
        Difference(
            difference.table,
            _key_text(zip((c.name for c in contracts[difference.table].key), difference.key, strict=True)),
            difference.column,
            _SEEN_AS.get(difference.kind, "changed"),
        )
        for difference in planted
    )


def _found(comparison: Mapping[str, Any]) -> Iterable[Difference]:
    for difference in comparison["sample"]:
        key = _key_text((part["column"], part["value"]) for part in difference["key"])
        columns = [change["column"] for change in difference["changes"]] or [None]
        for column in columns:
            yield Difference(comparison["name"], key, column, difference["kind"])


def _key_text(parts: Iterable[tuple[str, Any]]) -> str:
    return json.dumps({name: str(value) for name, value in parts}, separators=(",", ":"))
