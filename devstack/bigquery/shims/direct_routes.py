"""Serves a request where it arrives, without a thread for each of its parts.

The emulator declares most routes, and what they depend on, as plain functions. FastAPI runs each of them in a thread
of its own: three for `tables.get`, which only looks into memory, and a query holds the event loop anyway. Around them
stand three middlewares that pass every answer through a task and two queues, of which one writes a log at a level that
is off here, and one counts for metrics that are off, too. Together that was half of what a small request took.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any, Final, get_args, get_origin
from uuid import uuid4

import bqemulator.server
from bqemulator.api.dependencies import AppContext, get_caller, get_context
from bqemulator.api.routes import (
    datasets,
    jobs,
    models,
    projects,
    routines,
    row_access_policies,
    tabledata,
    tables,
)
from bqemulator.observability.logging_ import bind_correlation_id, clear_correlation_id
from bqemulator.row_access.identity import CallerIdentity
from fastapi import Depends, FastAPI, Request
from fastapi.params import Depends as Dependency
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ROUTES: Final[tuple[ModuleType, ...]] = (
    datasets,
    jobs,
    models,
    projects,
    routines,
    row_access_policies,
    tabledata,
    tables,
)
_CORRELATION_ID: Final = "x-correlation-id"
_ASKED_BY: Final = (_CORRELATION_ID, "x-request-id", "x-cloud-trace-context")


async def context_of(request: Request) -> AppContext:
    """Return the emulator's application context, as `get_context` does.

    Args:
        request: any.
    """
    return get_context(request)


async def caller_of(request: Request) -> CallerIdentity:
    """Return who asks, as `get_caller` does.

    Args:
        request: any.
    """
    return get_caller(request)


_AWAITED: Final[dict[Any, Callable[..., Any]]] = {get_context: context_of, get_caller: caller_of}


def awaited(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Make a route's function, and what it depends on, run in the event loop.

    Args:
        endpoint: the function, plain or a coroutine's.

    Returns:
        A coroutine function with the same parameters.
    """
    is_coroutine = inspect.iscoroutinefunction(endpoint)

    async def served(**values: Any) -> Any:
        return await endpoint(**values) if is_coroutine else endpoint(**values)

    signature = inspect.signature(endpoint, eval_str=True)
    parameters = [each.replace(annotation=_with_awaited(each.annotation)) for each in signature.parameters.values()]
    functools.update_wrapper(served, endpoint)
    del served.__dict__["__wrapped__"]  # by which FastAPI would tell a plain function
    vars(served)["__signature__"] = signature.replace(parameters=parameters)
    return served


def _with_awaited(annotation: Any) -> Any:
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *notes = get_args(annotation)
    replaced = [
        Depends(_AWAITED[note.dependency]) if isinstance(note, Dependency) and note.dependency in _AWAITED else note
        for note in notes
    ]
    return Annotated[kind, *replaced]


class CorrelationId:
    """Names each request in the log and in its answer, as the emulator's middleware of this name does.

    Args:
        app: what serves the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Args:
            scope: the request.
            receive: its body.
            send: takes the answer.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = next((value for name in _ASKED_BY if (value := headers.get(name))), None)
        correlation_id = given.split("/", 1)[0] if given else uuid4().hex

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_CORRELATION_ID] = correlation_id
            await send(message)

        bind_correlation_id(correlation_id)
        try:
            await self._app(scope, receive, send_named)
        finally:
            clear_correlation_id()


def apply() -> None:
    """Replace the functions of all routes, and the middlewares of every application that is built."""
    for module in _ROUTES:
        for route in module.router.routes:
            route.endpoint = awaited(route.endpoint)
    create = bqemulator.server.create_app

    def create_direct(context: Any) -> FastAPI:
        app: FastAPI = create(context)
        kept = [each for each in app.user_middleware if not _passes_through_queues(each)]
        app.user_middleware[:] = [*kept, Middleware(CorrelationId)]
        return app

    bqemulator.server.create_app = create_direct


def _passes_through_queues(middleware: Middleware) -> bool:
    return isinstance(middleware.cls, type) and issubclass(middleware.cls, BaseHTTPMiddleware)
