"""Makes PATCH and PUT of a table change its storage too.

The emulator writes the new schema into its catalogue only, so the column that dbt's `on_schema_change` has
just added through the API does not exist for the next statement.
"""

from __future__ import annotations

from typing import Annotated, Any

import bqemulator.api.routes.tables as table_routes
from bqemulator.api.dependencies import AppContext, get_context
from bqemulator.domain.errors import ResourceRef, ValidationError, resource_not_found
from fastapi import Depends, Request

from devstack.bigquery.shims.schema_change import change_columns

_PATH = "/bigquery/v2/projects/{project_id}/datasets/{dataset_id}/tables/{table_id}"
_METHODS = {"PATCH", "PUT"}


async def change_table(
    project_id: str,
    dataset_id: str,
    table_id: str,
    request: Request,
    context: Annotated[AppContext, Depends(get_context)],
) -> dict[str, Any]:
    """Serve `tables.patch` and `tables.update`.

    Args:
        project_id: project of the table.
        dataset_id: dataset of the table.
        table_id: the table.
        request: carries the table resource.
        context: the emulator's application context.

    Returns:
        The table resource after the change.

    Raises:
        ValidationError: when a column is missing from the new schema, which BigQuery refuses as well.
    """
    entry = context.catalog.get_table(project_id, dataset_id, table_id)
    if entry is None:
        raise resource_not_found(ResourceRef("table", project_id, dataset_id, table_id))
    body = await request.json()
    body.setdefault("tableReference", {"tableId": table_id})
    changed = table_routes._rest_to_table_meta(  # noqa: SLF001
        project_id, dataset_id, body, context.clock, entry
    )
    async with context.engine.write_lock():
        if changed.table_type == "TABLE":
            _refuse_dropped_columns(entry, changed)
            fields = change_columns(context, entry, changed.schema_.fields).schema_
            changed = changed.model_copy(update={"schema_": fields})
        return dict(table_routes._table_to_rest(context.catalog.update_table(changed)))  # noqa: SLF001


def _refuse_dropped_columns(entry: Any, changed: Any) -> None:
    wanted = {field.name.lower() for field in changed.schema_.fields}
    missing = [field.name for field in entry.schema_.fields if field.name.lower() not in wanted]
    if missing:
        raise ValidationError(
            f"Provided Schema does not match Table {entry.project_id}:{entry.dataset_id}.{entry.table_id}. "
            f"Field {missing[0]} is missing in new schema"
        )


def apply() -> None:
    """Replace the two routes before the application is built."""
    router = table_routes.router
    router.routes[:] = [route for route in router.routes if not _is_replaced(route)]
    for method in sorted(_METHODS):
        router.add_api_route(_PATH.removeprefix(router.prefix), change_table, methods=[method])


def _is_replaced(route: Any) -> bool:
    return route.path == _PATH and bool(route.methods & _METHODS)
