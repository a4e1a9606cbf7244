"""Serving HTTP in the event loop of the run, so that an answer also proves that the loop turns."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import structlog
import uvicorn

_log = structlog.get_logger(__name__)

_KEEP_ALIVE_S: Final = 75
_STARTED_POLL_S: Final = 0.005


class _Server(uvicorn.Server):
    """A server that leaves signals to the run: SIGTERM drains first and ends the server last."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Any, listening: socket.socket, grace_s: int = 1) -> AsyncIterator[None]:
    """Serve an application while the context lasts.

    Args:
        app: an ASGI application.
        listening: a bound socket; it is closed in the end.
        grace_s: how long answers under way may take in the end, in seconds.

    Yields:
        Nothing; requests are answered by then.
    """
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(_STARTED_POLL_S)
        if task.done():
            await task
        host, port = listening.getsockname()[:2]
        _log.info("serving", address=f"http://{host}:{port}")
        yield
    finally:
        server.should_exit = True
        await asyncio.wait({task})
        listening.close()
