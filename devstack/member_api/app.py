"""The application: a route a table for its rows, and one for sets of them, made from the contracts."""

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from core.contracts import Column, Contracts, TableContract
from devstack.member_api.faults import FaultInjector, FaultMiddleware, FaultPlan
from devstack.member_api.rate_limit import TokenBucket
from devstack.member_api.store import StoredRow, StoreReader, canonical_key

_JSON: Final = "application/json"
_bearer: Final = HTTPBearer(auto_error=False, description="The API token.")


class RowAnswer(BaseModel):
    """A row that exists.

    Attributes:
        data: the row.
        version: the version of its last change.
        updated_at: when it last changed (ISO 8601, UTC).
    """

    data: dict[str, Any]
    version: int
    updated_at: str


class SetAnswer(BaseModel):
    """A page of a set of rows.

    Attributes:
        items: the rows of the page, in the order of their keys.
        total: rows of the whole set.
        version: all changes up to this version are in the page.
        next: where the next page is; null on the last one.
    """

    items: list[RowAnswer]
    total: int
    version: int
    next: str | None


class GoneAnswer(BaseModel):
    """A row that existed once.

    Attributes:
        version: the version of its deletion.
        deleted_at: when it was deleted (ISO 8601, UTC).
    """

    version: int
    deleted_at: str


class FaultState(BaseModel):
    """The faults in force.

    Attributes:
        plan: which faults to show.
        shown: how often each was shown since the plan came into force.
    """

    plan: FaultPlan
    shown: dict[str, int]


@dataclass(frozen=True)
class ApiOptions:
    """What the application needs.

    Attributes:
        store: where the rows are.
        token: the bearer token that callers must show.
        contracts: the tables; those without an API path have no route.
        bucket: limits the requests for rows; None for no limit.
        faults: the faults to begin with.
        page_rows: rows of a set on one page.
    """

    store: StoreReader
    token: str
    contracts: Contracts
    bucket: TokenBucket | None = None
    faults: FaultPlan = field(default_factory=FaultPlan)
    page_rows: int = 100


def create_app(options: ApiOptions) -> FastAPI:
    """Make the application.

    Args:
        options: what it needs.

    Returns:
        An ASGI application with OpenAPI docs at `/docs`.
    """
    app = FastAPI(
        title="Member API",
        version="1",
        description="Rows of the loyalty members: one by its key, or all of one member.",
    )
    injector = FaultInjector(options.faults)
    authorised = Depends(_authorisation(options.token))
    for contract in options.contracts.values():
        if contract.api_path is not None:
            _add_row_route(app, contract, options, [authorised])
        if contract.api_set_path is not None:
            _add_set_route(app, contract, options, [authorised])
    _add_admin_routes(app, injector, [authorised])

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Tell that the API answers."""
        return {"status": "ok"}

    app.add_middleware(FaultMiddleware, injector=injector)
    return app


def _authorisation(token: str) -> Callable[..., Awaitable[None]]:
    expected = token.encode()

    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        # compare_digest takes as long for a wrong token as for the right one.
        if credentials is None or not hmac.compare_digest(credentials.credentials.encode(), expected):
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "send the API token as 'Authorization: Bearer'",
                {"WWW-Authenticate": "Bearer"},
            )

    return check


def _add_row_route(app: FastAPI, contract: TableContract, options: ApiOptions, dependencies: list[Any]) -> None:
    names = tuple(column.name for column in contract.key)

    async def get_row(request: Request) -> Response:
        _limit(options.bucket)
        key = canonical_key(contract, (request.path_params[name] for name in names))
        return _answer(options.store.get(contract.name, key), request.headers.get("if-none-match"))

    app.add_api_route(
        _route(contract.api_path or "", contract.key),
        get_row,
        dependencies=dependencies,
        name=f"get_{contract.name}",
        summary=f"One row of {contract.name}",
        description=contract.description,
        tags=["rows"],
        response_class=Response,
        responses={
            200: {"model": RowAnswer, "description": "The row."},
            304: {"description": "The row is as `If-None-Match` has it."},
            401: {"description": "No token, or a wrong one."},
            404: {"description": "There never was such a row."},
            410: {"model": GoneAnswer, "description": "The row was deleted."},
            429: {"description": "Too many requests; `Retry-After` says when to come back."},
        },
        openapi_extra={"parameters": [_parameter(column) for column in contract.key]},
    )


def _add_set_route(app: FastAPI, contract: TableContract, options: ApiOptions, dependencies: list[Any]) -> None:
    names = tuple(column.name for column in contract.set_columns)

    async def get_set(request: Request) -> Response:
        _limit(options.bucket)
        shared = {name: request.path_params[name] for name in names}
        after = request.query_params.get("after", "")
        page = options.store.get_set(contract.name, shared, after, options.page_rows)
        items = ",".join(_row(row) for row in page.rows)
        following = json.dumps(f"?{urlencode({'after': page.rows[-1].key})}") if page.has_more else "null"
        body = f'{{"items":[{items}],"total":{page.total},"version":{page.version},"next":{following}}}'
        return Response(body, media_type=_JSON)

    after = {"name": "after", "in": "query", "description": "As `next` has it.", "schema": {"type": "string"}}
    app.add_api_route(
        _route(contract.api_set_path or "", contract.set_columns),
        get_set,
        dependencies=dependencies,
        name=f"get_set_of_{contract.name}",
        summary=f"All rows of {contract.name} that share {' and '.join(names)}",
        description=contract.description,
        tags=["sets"],
        response_class=Response,
        responses={
            200: {"model": SetAnswer, "description": "A page of the set, which may be empty."},
            401: {"description": "No token, or a wrong one."},
            429: {"description": "Too many requests; `Retry-After` says when to come back."},
        },
        openapi_extra={"parameters": [*(_parameter(column) for column in contract.set_columns), after]},
    )


def _route(path: str, columns: Iterable[Column]) -> str:
    for column in columns:
        if column.data_type == "int64":
            path = path.replace(f"{{{column.name}}}", f"{{{column.name}:int}}")
    return path


def _parameter(column: Column) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer" if column.data_type == "int64" else "string"}
    if column.allowed_values:
        schema["enum"] = list(column.allowed_values)
    return {"name": column.name, "in": "path", "required": True, "description": column.description, "schema": schema}


def _limit(bucket: TokenBucket | None) -> None:
    wait_s = bucket.take() if bucket is not None else 0
    if wait_s:
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, "too many requests", {"Retry-After": str(wait_s)})


def _answer(row: StoredRow | None, if_none_match: str | None) -> Response:
    if row is None:
        return Response('{"detail":"there never was such a row"}', status.HTTP_404_NOT_FOUND, media_type=_JSON)
    if row.data is None:
        gone = f'{{"version":{row.version},"deleted_at":"{row.changed_at}"}}'
        return Response(gone, status.HTTP_410_GONE, media_type=_JSON)
    etag = f'"{row.version}"'
    if if_none_match is not None and _matches(if_none_match, etag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    return Response(_row(row), headers={"ETag": etag}, media_type=_JSON)


def _row(row: StoredRow) -> str:
    return f'{{"data":{row.data},"version":{row.version},"updated_at":"{row.changed_at}"}}'


def _matches(if_none_match: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 section 13.1.2 asks for If-None-Match."""
    return any(candidate.strip().removeprefix("W/") in ("*", etag) for candidate in if_none_match.split(","))


def _add_admin_routes(app: FastAPI, injector: FaultInjector, dependencies: list[Any]) -> None:
    def state() -> FaultState:
        return FaultState(plan=injector.plan, shown=dict(injector.shown))

    @app.get("/admin/faults", dependencies=dependencies, tags=["operations"])
    async def get_faults() -> FaultState:
        """Tell which faults are in force."""
        return state()

    @app.put("/admin/faults", dependencies=dependencies, tags=["operations"])
    async def put_faults(plan: FaultPlan) -> FaultState:
        """Show these faults from now on."""
        injector.follow(plan)
        return state()

    @app.delete("/admin/faults", dependencies=dependencies, tags=["operations"])
    async def delete_faults() -> FaultState:
        """Show no faults from now on."""
        injector.follow(FaultPlan())
        return state()
