"""The stand-in inside its own process: settings, mends, start, wait, stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from bqemulator.config import LogFormat, LogLevel, PersistenceMode, Settings
from bqemulator.server import EmulatorServer

from devstack.bigquery.address import BigQueryAddress, check_loopback, write_port_file
from devstack.bigquery.shims import apply_shims
from devstack.bigquery.shims.kept_store import kept_store


@dataclass(frozen=True)
class ServerOptions:
    """What one server is started with.

    Attributes:
        host: loopback address to listen on.
        rest_port: port of the REST API, 0 for a free one.
        grpc_port: port of the gRPC services, 0 for a free one.
        data_dir: folder that keeps the data across restarts; None keeps all in memory.
        port_file: where to publish the ports once both servers answer.
        stop_on_eof: stop when standard input closes.
        translations: folder where what was worked out for statements is kept for the next server; None keeps it in
            memory only.
    """

    host: str = "127.0.0.1"
    rest_port: int = 0
    grpc_port: int = 0
    data_dir: Path | None = None
    port_file: Path | None = None
    stop_on_eof: bool = False
    translations: Path | None = None


def emulator_settings(options: ServerOptions) -> Settings:
    """Translate our options, every one that could reach the network set off explicitly.

    Explicit values win over the `BQEMU_*` environment, so nothing that lies around in a shell can turn
    an exporter on or bind a public address.

    Args:
        options: what the caller asked for.

    Returns:
        Settings of the emulator.

    Raises:
        ConfigurationError: when the host is not a loopback address.
    """
    host = check_loopback(options.host)
    return Settings(
        rest_host=host,
        rest_port=options.rest_port,
        grpc_host=host,
        grpc_port=options.grpc_port,
        persistence_mode=PersistenceMode.PERSISTENT if options.data_dir else PersistenceMode.EPHEMERAL,
        data_dir=options.data_dir,
        enable_format_extensions=False,  # would download DuckDB's avro extension
        tracing_enabled=False,
        otlp_endpoint=None,
        metrics_enabled=False,
        admin_enabled=False,
        log_level=LogLevel.WARNING,
        log_format=LogFormat.JSON,
    )


async def serve(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT (or the end of standard input, when asked), then stop cleanly.

    Args:
        options: what to serve, and where.

    Raises:
        ConfigurationError: when the host is not loopback or another bqemulator is installed.
    """
    settings = emulator_settings(options)
    apply_shims()
    if options.translations is not None:
        kept_store().open(options.translations)
    server = EmulatorServer(settings)
    await server.start()
    _collect_rarely()
    try:
        # After start(): uvicorn installs handlers of its own while it starts.
        stop = _stop_event(on_eof=options.stop_on_eof)
        address = BigQueryAddress(options.host, server.rest_port, server.grpc_port)
        if options.port_file is not None:
            write_port_file(options.port_file, address)
        print(f"BigQuery: REST {address.rest_url}, gRPC {address.grpc_target}", flush=True)
        await stop.wait()
    finally:
        await server.stop()
        kept_store().close()


def _collect_rarely() -> None:
    """Look for garbage cycles less often: rewriting a statement makes and drops trees of thousands of nodes.

    Each allocation of 700 objects would otherwise start a search through all of them, which took four fifths of
    the time of copying a tree.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def _stop_event(*, on_eof: bool) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if on_eof:
        loop.add_reader(sys.stdin, stop.set)
    return stop
