"""The routes: `/healthz`, `/readyz`, `/metrics`, and whatever else the run serves, such as push delivery."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route


def status_app(
    faults: Callable[[], list[str]], metrics: CollectorRegistry, others: Sequence[BaseRoute] = ()
) -> Starlette:
    """Return the application that a run serves.

    Args:
        faults: says why the run is not ready; see `ingest.http.health`.
        metrics: the run's metrics.
        others: further routes.

    Returns:
        An ASGI application.
    """

    async def alive(_request: Request) -> Response:
        # That this is answered at all says that the event loop turns.
        return JSONResponse({"status": "alive"})

    async def ready(_request: Request) -> Response:
        found = faults()
        if found:
            return JSONResponse({"status": "not ready", "faults": found}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def exposition(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics), headers={"content-type": content_type})

    return Starlette(
        routes=[
            Route("/healthz", alive, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", exposition, methods=["GET"]),
            *others,
        ]
    )
