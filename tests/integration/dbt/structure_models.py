"""The project with models changed: as they were before a column came, or mutated to see that tests notice."""

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest


def with_nodes_of_its_own(manifest: Any) -> Any:
    """Return a manifest whose nodes may be changed, and change no other one."""
    return dataclasses.replace(manifest, nodes=copy.deepcopy(manifest.nodes))


def with_column_missing(manifest: Any, columns: Mapping[str, str]) -> Any:
    """Return the project as it was before some structure models got a column.

    Args:
        manifest: the project, as dbt parsed it.
        columns: the column each table does not have yet.

    Returns:
        Another manifest.
    """
    former = with_nodes_of_its_own(manifest)
    for table, column in columns.items():
        node = former.nodes[f"model.millrace.str_{table}"]
        node.raw_code, found = re.subn(rf"\n *{{{{ cdc_cast\('{column}',[^\n]*", "", node.raw_code)
        assert found == 1, f"str_{table} does not cast {column}"
        del node.columns[column]
    return former


def with_small_partitions(manifest: Any, intervals: Mapping[str, int]) -> Any:
    """Return the project with partitions of few keys, so that a small table has many.

    Args:
        manifest: the project, as dbt parsed it.
        intervals: how many keys a partition of a structure table may have, by table.

    Returns:
        Another manifest; a table that is not partitioned by ranges is an error.
    """
    found = with_nodes_of_its_own(manifest)
    for table, interval in intervals.items():
        config = found.nodes[f"model.millrace.str_{table}"].config
        assert config["partition_by"]["range"]["interval"] > interval
        ranges = {"start": 0, "end": 100 * interval, "interval": interval}
        config["partition_by"] = copy.deepcopy(config["partition_by"]) | {"range": ranges}
    return found


def mutate(patch: pytest.MonkeyPatch, macro: Any, table: str, right: str, wrong: str) -> None:
    """Have a macro say something else, to the structure model of one table only.

    dbt keeps macros by name, in every copy of a manifest alike; so this changes the macro itself, until it is undone.

    Args:
        patch: undoes it.
        macro: the macro, as dbt parsed it.
        table: the table.
        right: a text in it.
        wrong: what stands in its place.
    """
    assert macro.macro_sql.count(right) == 1, f"{macro.name} does not say {right} once"
    choice = f"{{% if this.identifier == '{table}' %}}{wrong}{{% else %}}{right}{{% endif %}}"
    patch.setattr(macro, "macro_sql", macro.macro_sql.replace(right, choice))
