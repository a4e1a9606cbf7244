"""The gRPC server: in this process for asynchronous callers, or in one of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from devstack.pubsub.clock import Clock
from devstack.pubsub.control import control_service
from devstack.pubsub.publisher import publisher_service
from devstack.pubsub.push import Pushes
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.subscriber import subscriber_service
from devstack.pubsub.tokens import Issuer

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_OPTIONS: Final = (
    # Twice Pub/Sub's largest request, so that too large ones get Pub/Sub's answer and not gRPC's.
    ("grpc.max_receive_message_length", 20_000_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        address: "host:port", the value for `PUBSUB_EMULATOR_HOST`.
        port: the bound port.
        runtime: its state, clock and timer, for tests in the same event loop.
    """

    address: str
    port: int
    runtime: Runtime


@asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None) -> AsyncIterator[Server]:
    """Runs a server in the current event loop for as long as the context is open.

    gRPC supports one event loop per process: use `devstack.pubsub.process.running_server` where the caller
    has no event loop of its own, or starts several.

    Args:
        host: a loopback address.
        port: the port; 0 picks a free one.
        clock: the time; the system's by default.

    Raises:
        ValueError: when the host is not a loopback address.
        OSError: when the port is taken.

    Example:
        async with serve() as server:
            os.environ["PUBSUB_EMULATOR_HOST"] = server.address
    """
    if host not in LOOPBACK:
        raise ValueError(f"The server has no authentication and must stay on loopback, not {host}; use 127.0.0.1.")
    runtime, issuer = Runtime(clock or Clock()), Issuer()
    pushes = Pushes(runtime, issuer)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(
        (publisher_service(runtime), subscriber_service(runtime, pushes), control_service(runtime, issuer))
    )
    bracketed = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{bracketed}:{port}")
    except RuntimeError as error:
        raise OSError(f"Cannot listen on {host}:{port}: the port is taken; choose another or 0.") from error
    await server.start()
    try:
        yield Server(f"{bracketed}:{bound}", bound, runtime)
    finally:
        await pushes.close()
        runtime.disarm()
        await server.stop(grace=0)
