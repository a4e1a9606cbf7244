"""Serves the Storage APIs from threads instead of the event loop that runs the queries.

In the emulator a query blocks the loop until it is done, and with it every append and every read, however
small. Their handlers are plain functions already, so a plain threaded gRPC server can run them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import bqemulator.server
import grpc
from bqemulator.domain.errors import DomainError
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

# An open AppendRows call holds a thread for as long as it lives.
_MAX_THREADS = 256
_HEADROOM_BYTES = 1024 * 1024
_STOP_GRACE_S = 0.5


class ThreadedServer:
    """A gRPC server that runs handlers on threads, behind the interface of an asynchronous one."""

    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    async def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    async def stop(self, grace: float) -> None:
        """Stop serving, and wait until the last call has ended.

        Args:
            grace: how long running calls may go on at most, in seconds.
        """
        await asyncio.to_thread(self._server.stop(min(grace, _STOP_GRACE_S)).wait)


class _ErrorTranslation:
    """Turns the emulator's own errors into gRPC status codes; a `grpc.ServerInterceptor` by its shape."""

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        respond = handler.unary_unary

        def translated(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return respond(request, context)
            except DomainError as error:
                context.abort(getattr(grpc.StatusCode, error.grpc_status_name, grpc.StatusCode.INTERNAL), error.message)

        return grpc.unary_unary_rpc_method_handler(
            translated,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def build_threaded_server(context: Any) -> tuple[ThreadedServer, int]:
    """Build the server of Storage Write, Storage Read and health checks.

    Args:
        context: the emulator's application context.

    Returns:
        The server, not yet started, and the port it is bound to.
    """
    largest = context.settings.write_api_max_request_bytes + _HEADROOM_BYTES
    server = grpc.server(
        ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="storage-api"),
        interceptors=cast("Any", [_ErrorTranslation()]),
        options=[
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", largest),
            ("grpc.so_reuseport", 0),  # a taken port is an error, not a second server
        ],
    )
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_generic_rpc_handlers((BigQueryReadHandler(context), BigQueryWriteHandler(context)))
    port = server.add_insecure_port(f"{context.settings.grpc_host}:{context.settings.grpc_port}")
    return ThreadedServer(server), port


def apply() -> None:
    """Replace the server that the emulator builds."""
    bqemulator.server.build_grpc_server = build_threaded_server
