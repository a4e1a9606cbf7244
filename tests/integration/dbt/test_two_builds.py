"""Two builds at once: one that the other has overtaken puts nothing older back, and nothing that has landed is lost.

The pipeline's ledger lets one build of a zone run at a time; whoever runs dbt beside it is not asked.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import pytest
from dbt.cli.main import dbtRunner
from parsed_project import for_one_command, options
from structure_events import Event, Key, Row
from structure_histories import BEGINNING, Plan, deliver, histories
from structure_oracle import differences, state
from structure_warehouse import Warehouse, comparable

CLASHING: Final = "member_tiers"
"""A change leaves a column out, and the change that tells it lands when the first build has looked for it."""
APART: Final = "member_cases"
"""Histories of which every change tells every column."""
TABLES: Final = (CLASHING, APART)
MODELS: Final = ("str_truncates", *(f"str_{table}" for table in TABLES))
NEWEST: Final = BEGINNING + timedelta(days=400)
"""When a row lands that has the rest lie far behind, where no build looks again without cause."""
_RUN_DBT: Final = (
    "import sys\nfrom dbt.cli.main import dbtRunner\nsys.exit(not dbtRunner().invoke(sys.argv[1:]).success)"
)
_PATIENCE_S: Final = 300
SNAPSHOT: Final = f"snp_{CLASHING}"


@dataclass(frozen=True)
class Course:
    """What came of two builds, and of one after them.

    Attributes:
        first: what the overtaken build says of each model: its status and message.
        between: what structure held after both, by table.
        held: what it held after the next build.
        landed: all that has landed.
    """

    first: dict[str, tuple[str, str]]
    between: dict[str, dict[Key, Row]]
    held: dict[str, dict[Key, Row]]
    landed: list[Event]


def _tier(position: int, day: int, tier: str, reason: str, *, key: int = 1, omits: bool = False) -> Event:
    after = {"tier_id": key, "member_id": 7, "tier": tier, "reason": reason, "started_on": BEGINNING.date()}
    after |= {"qualifying_points": None, "ends_on": None, "created_at": BEGINNING, "updated_at": BEGINNING}
    return Event(table=CLASHING, op="UPDATE", event_id=f"{key}-{position}", key=(key,), position=position, after=after,
                 landed_at=BEGINNING + timedelta(days=day), omitted=frozenset({"reason"} if omits else ()))  # fmt: skip


@pytest.fixture(scope="module")
def course(structure_warehouse: Warehouse) -> Iterator[Course]:
    warehouse = structure_warehouse
    for table in TABLES:
        warehouse.empty(table)
    source = histories(warehouse.contracts[APART], 8, Plan(number=20, truncates=2, omits=()))
    before, first, meanwhile = deliver(source, 8, 3, very_late=0.2)
    before += [_tier(1, 1, "silver", "earned"), _tier(9, 400, "gold", "earned", key=9)]
    first.append(_tier(3, 3, "gold", "retained", omits=True))
    meanwhile.append(_tier(2, 2, "bronze", "retained"))
    warehouse.land(before)
    warehouse.build(MODELS)
    warehouse.land(first)

    def overtake() -> None:
        warehouse.land(meanwhile)
        _build_beside(warehouse, "run", MODELS)

    told = _overtaken(warehouse, overtake)
    between = {table: warehouse.structure(table) for table in TABLES}
    warehouse.build(MODELS)
    held = {table: warehouse.structure(table) for table in TABLES}
    yield Course(told, between, held, [*before, *first, *meanwhile])
    for table in TABLES:
        warehouse.empty(table)


def _overtaken(warehouse: Warehouse, overtake: Callable[[], None]) -> dict[str, tuple[str, str]]:
    """Build, and let something happen when all are about to be merged into; return what dbt says of each model."""
    at_the_merge = threading.Barrier(len(TABLES), overtake, _PATIENCE_S)

    def listen(event: Any) -> None:
        is_merge = event.info.name == "SQLQuery" and "merge into" in event.data.sql
        if is_merge and event.data.node_info.unique_id.removeprefix("model.millrace.str_") in TABLES:
            at_the_merge.wait()

    runner = dbtRunner(manifest=for_one_command(warehouse.manifest), callbacks=[listen])
    outcome = runner.invoke(["run", "--threads", str(len(TABLES)), "--select", *MODELS, *options(warehouse.folder)])
    return {result.node.name: (str(result.status), result.message) for result in outcome.result}


def _build_beside(warehouse: Warehouse, command: str, nodes: Sequence[str]) -> None:
    """Run dbt in a process of its own, as another machine does."""
    arguments = [command, "--select", *nodes, *options(warehouse.folder / "another")]
    subprocess.run([sys.executable, "-c", _RUN_DBT, *arguments], check=True)


def test_a_build_that_would_put_something_older_back_fails(course: Course) -> None:
    status, message = course.first[f"str_{CLASHING}"]
    assert status == "error"
    assert "another build has merged into this table meanwhile; nothing is lost: build it again" in message
    row = course.between[CLASHING][(1,)]
    assert (row["tier"], row["reason"]) == ("gold", "retained")


def test_a_build_that_puts_nothing_older_back_succeeds(course: Course) -> None:
    assert course.first[f"str_{APART}"][0] == "success"


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_lost(course: Course, structure_warehouse: Warehouse, table: str) -> None:
    contract = structure_warehouse.contracts[table]
    expected = {key: comparable(contract, row) for key, row in state(contract, course.landed).items()}
    assert len(expected) >= 2
    assert not differences(expected, course.held[table])


def test_two_snapshots_at_once_hold_each_version_once(structure_warehouse: Warehouse) -> None:
    """A row has been deleted, one has changed, and one has come; then the deleted one is back."""
    warehouse = structure_warehouse
    warehouse.empty(CLASHING)
    stays, goes = (_tier(key, 1, "silver", "earned", key=key) for key in (1, 2))
    warehouse.land([stays, goes])
    warehouse.build(MODELS[:2])
    warehouse.dbt("snapshot", "--select", SNAPSHOT)
    gone = replace(goes, op="DELETE", event_id="gone", position=12, after=None)
    warehouse.land([_tier(11, 2, "gold", "earned"), gone, _tier(13, 2, "bronze", "earned", key=3)])
    warehouse.build(MODELS[:2])
    waiting = [True]

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery" and "merge into" in event.data.sql and waiting:
            waiting.clear()
            _build_beside(warehouse, "snapshot", [SNAPSHOT])

    runner = dbtRunner(manifest=for_one_command(warehouse.manifest), callbacks=[listen])
    assert runner.invoke(["snapshot", "--select", SNAPSHOT, *options(warehouse.folder)]).success
    assert not waiting
    assert _versions(warehouse) == {
        (1, "silver", False, False), (1, "gold", False, True), (2, "silver", False, False), (2, "silver", True, True),
        (3, "bronze", False, True),
    }  # fmt: skip
    warehouse.land([_tier(14, 3, "gold", "earned", key=2)])
    warehouse.build(MODELS[:2])
    warehouse.dbt("snapshot", "--select", SNAPSHOT)
    assert {version for version in _versions(warehouse) if version[0] == 2} == {
        (2, "silver", False, False), (2, "silver", True, False), (2, "gold", False, True),
    }  # fmt: skip
    warehouse.empty(CLASHING)


def _versions(warehouse: Warehouse) -> set[tuple[int, str, bool, bool]]:
    """Return the snapshot: key, tier, whether deleted, whether it holds; fails when a version stands twice."""
    rows = warehouse.rows(f"snapshots.{SNAPSHOT}")
    found = [
        (row["tier_id"], row["tier"], row["dbt_is_deleted"] == "True", row["dbt_valid_to"].year == 9999) for row in rows
    ]
    assert len(set(found)) == len(found) == len({row["dbt_scd_id"] for row in rows}), sorted(found)
    return set(found)
