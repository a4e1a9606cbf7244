"""Tells how many rows a table has, by counting them.

The emulator's catalogue is not told of DML, so the number in a table resource stays that of its creation.
"""

from __future__ import annotations

from typing import Annotated, Any

import bqemulator.api.routes.tables as table_routes
from bqemulator.api.dependencies import AppContext, get_context
from fastapi import Depends

from devstack.bigquery.shims.tables import TableName

_PATH = "/bigquery/v2/projects/{project_id}/datasets/{dataset_id}/tables/{table_id}"


def count_rows(engine: Any, name: TableName) -> int:
    """Count the rows of a table, which DuckDB answers from its metadata.

    Args:
        engine: the emulator's storage engine.
        name: the table.

    Returns:
        The number of rows.
    """
    return int(engine.execute(f"select count(*) from {name.storage}").fetchone()[0])  # noqa: S608


def get_table(
    project_id: str, dataset_id: str, table_id: str, context: Annotated[AppContext, Depends(get_context)]
) -> dict[str, Any]:
    """Serve `tables.get`.

    Args:
        project_id: project of the table.
        dataset_id: dataset of the table.
        table_id: the table.
        context: the emulator's application context.

    Returns:
        The table resource.
    """
    resource: dict[str, Any] = table_routes.get_table(project_id, dataset_id, table_id, context)
    entry = context.catalog.get_table(project_id, dataset_id, table_id)
    if entry is not None and entry.table_type == "TABLE":
        resource["numRows"] = str(count_rows(context.engine, TableName(project_id, dataset_id, table_id)))
    return resource


def apply() -> None:
    """Replace the route before the application is built."""
    router = table_routes.router
    router.routes[:] = [route for route in router.routes if not (route.path == _PATH and "GET" in route.methods)]
    router.add_api_route(_PATH.removeprefix(router.prefix), get_table, methods=["GET"])
