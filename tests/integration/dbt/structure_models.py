"""The project with models changed: as they were before a column came, or mutated to see that tests notice."""

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any


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
