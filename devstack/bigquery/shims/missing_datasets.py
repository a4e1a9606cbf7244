"""Says of a dataset that is not there that it is not, when its tables are asked for.

The emulator lists none, so that who looks for a dataset before making it, as dbt's `check_schema_exists` does, finds
one.
"""

from __future__ import annotations

from typing import Annotated, Any

import bqemulator.api.routes.tables as table_routes
from bqemulator.api.dependencies import AppContext, get_context
from bqemulator.domain.errors import ResourceRef, resource_not_found
from fastapi import Depends, Query

_PATH = "/bigquery/v2/projects/{project_id}/datasets/{dataset_id}/tables"
_list_tables = table_routes.list_tables


def list_tables(
    project_id: str,
    dataset_id: str,
    context: Annotated[AppContext, Depends(get_context)],
    limit: Annotated[int, Query(alias="maxResults")] = 1000,
) -> dict[str, Any]:
    """Serve `tables.list`.

    Args:
        project_id: project of the dataset.
        dataset_id: the dataset.
        context: the emulator's application context.
        limit: how many tables to list at most.

    Returns:
        The tables.
    """
    if context.catalog.get_dataset(project_id, dataset_id) is None:
        raise resource_not_found(ResourceRef("dataset", project_id, dataset_id))
    return dict(_list_tables(project_id, dataset_id, context, limit))


def apply() -> None:
    """Replace the route before the application is built."""
    for route in table_routes.router.routes:
        if route.path == _PATH and "GET" in route.methods:
            route.endpoint = list_tables
