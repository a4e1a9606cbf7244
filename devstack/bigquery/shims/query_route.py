"""Answers `jobs.query` for a failing query with an HTTP error, and honours its default dataset.

The emulator answers 200 with the error beside an empty result, which the Python client's `query_and_wait` takes
for success: a typing error in a statement looks like a table without rows. And it looks at `defaultDataset` in
`jobs.insert` only, so here a table without a dataset lands in DuckDB's own, where nobody finds it.
"""

from __future__ import annotations

from typing import Annotated, Any

import bqemulator.api.routes.jobs as job_routes
from bqemulator.api.dependencies import AppContext, get_caller, get_context
from bqemulator.row_access.identity import CallerIdentity
from fastapi import Depends, Request
from fastapi.responses import JSONResponse

_PATH = "/bigquery/v2/projects/{project_id}/queries"
_STATUS = {"notFound": 404, "duplicate": 409, "accessDenied": 403}
_BAD_REQUEST = 400


async def query(
    project_id: str,
    request: Request,
    context: Annotated[AppContext, Depends(get_context)],
    caller: Annotated[CallerIdentity, Depends(get_caller)],
) -> Any:
    """Serve `jobs.query`.

    Args:
        project_id: project that runs the query.
        request: carries the query.
        context: the emulator's application context.
        caller: who asks.

    Returns:
        The query response, or the error it describes.
    """
    body = await request.json()  # kept by the request: the emulator's own function is given the same object
    if body.get("defaultDataset"):
        body["query"] = job_routes._apply_default_dataset(  # noqa: SLF001
            body.get("query", ""), body, request_project_id=project_id
        )
    response = await job_routes.query(project_id, request, context, caller)
    errors = response.get("errors")
    if not errors:
        return response
    code = _STATUS.get(errors[0].get("reason", ""), _BAD_REQUEST)
    return JSONResponse(
        {"error": {"code": code, "message": errors[0].get("message", ""), "errors": errors}}, status_code=code
    )


def apply() -> None:
    """Replace the route before the application is built."""
    router = job_routes.router
    router.routes[:] = [route for route in router.routes if not (route.path == _PATH and "POST" in route.methods)]
    router.add_api_route(_PATH.removeprefix(router.prefix), query, methods=["POST"], response_model=None)
