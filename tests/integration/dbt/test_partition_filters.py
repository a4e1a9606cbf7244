"""A table whose contract requires a filter on its partitions is asked for nothing without one."""

import copy
import dataclasses
from typing import Any

import pytest
from dbt.cli.main import dbtRunner
from partition_filters import unfiltered
from structure_histories import Plan, deliver, histories
from structure_warehouse import Warehouse, options

TABLE = "member_tiers"


@pytest.mark.parametrize("required", [True, False])
def test_the_count_of_all_rows_names_all_partitions_where_it_must(
    structure_warehouse: Warehouse, *, required: bool
) -> None:
    warehouse = structure_warehouse
    warehouse.empty(TABLE)
    source = histories(warehouse.contracts[TABLE], 3, Plan(number=2))
    for part in deliver(source, 3, 2):
        warehouse.land(part)
        sent = _run(warehouse, _project(warehouse.manifest, required=required))
    found = [sql for sql in sent if TABLE in unfiltered(sql)]
    assert (found == []) == required, found
    warehouse.empty(TABLE)


def _project(manifest: Any, *, required: bool) -> Any:
    changed = dataclasses.replace(
        manifest, nodes=copy.deepcopy(manifest.nodes), sources=copy.deepcopy(manifest.sources)
    )
    changed.sources[f"source.millrace.member.{TABLE}"].config.meta["require_partition_filter"] = required
    changed.build_flat_graph()  # what macros see
    return changed


def _run(warehouse: Warehouse, project: Any) -> list[str]:
    """Build the table and return what was sent of it."""
    sent: list[str] = []

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery" and f"`raw`.`{TABLE}`" in event.data.sql:
            sent.append(event.data.sql)

    command = ["run", "--select", "str_truncates", f"str_{TABLE}", *options(warehouse.folder)]
    outcome = dbtRunner(manifest=project, callbacks=[listen]).invoke(command)
    assert outcome.success, outcome.exception or [result.message for result in outcome.result]
    return sent
