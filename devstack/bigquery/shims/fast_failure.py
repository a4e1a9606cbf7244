"""Says what went wrong inside the emulator, once.

A fault of its own is answered with 500 and no reason. BigQuery's clients take that for a passing failure and ask
again for ten minutes, so a missing feature looks like a hang. 501 is final, and the message names the cause.
"""

from __future__ import annotations

from typing import Any

import bqemulator.server
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

_NOT_IMPLEMENTED = 501


async def _explain(request: Request, error: Exception) -> JSONResponse:
    message = f"the BigQuery stand-in failed at {request.method} {request.url.path}: {type(error).__name__}: {error}"
    return JSONResponse(
        {
            "error": {
                "code": _NOT_IMPLEMENTED,
                "message": message,
                "errors": [{"reason": "notImplemented", "message": message}],
                "status": "UNIMPLEMENTED",
            }
        },
        status_code=_NOT_IMPLEMENTED,
    )


def apply() -> None:
    """Replace the handler of last resort in every application that is built."""
    create = bqemulator.server.create_app

    def create_explaining(context: Any) -> FastAPI:
        app: FastAPI = create(context)
        app.add_exception_handler(Exception, _explain)
        return app

    bqemulator.server.create_app = create_explaining
