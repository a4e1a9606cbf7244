"""Serves the application on loopback, in this thread or for the length of a `with` block."""

import ipaddress
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from core.errors import ConfigurationError, UnavailableError

_BACKLOG: Final = 512
_POLL_S: Final = 0.005
_START_TIMEOUT_S: Final = 20.0


def serve(app: FastAPI, host: str, port: int, port_file: Path | None) -> None:
    """Serve until told to stop by SIGINT or SIGTERM; call it from the main thread only.

    Args:
        app: the application.
        host: a loopback address.
        port: the port; 0 takes a free one.
        port_file: where to write `{"port": ...}` once connections are accepted; None for nowhere.

    Raises:
        ConfigurationError: when the address is not on loopback or the port is taken.
    """
    # Having stopped, uvicorn raises the signal again for the handlers it found: a stop on demand is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with _listening(host, port) as listener:
        if port_file is not None:
            _publish(port_file, listener.getsockname()[1])
        _server(app).run(sockets=[listener])


@contextmanager
def running_member_api(app: FastAPI, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve in a thread of this process, and stop at the end.

    Args:
        app: the application.
        host: a loopback address.

    Yields:
        The base URL.

    Raises:
        UnavailableError: when the server does not come up.
    """
    with _listening(host, 0) as listener:
        server = _server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise UnavailableError("the member API did not start")
            time.sleep(_POLL_S)
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _server(app: FastAPI) -> uvicorn.Server:
    # An answer cut off on purpose is logged as an error; only what is critical should be.
    config = uvicorn.Config(app, access_log=False, log_level="critical", lifespan="off", timeout_graceful_shutdown=5)
    return uvicorn.Server(config)


def _listening(host: str, port: int) -> socket.socket:
    if not ipaddress.ip_address(host).is_loopback:
        raise ConfigurationError(f"{host} is not a loopback address; this stand-in serves this machine only")
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}; choose another port, or 0") from error


def _publish(port_file: Path, port: int) -> None:
    # A reader polls for the file: it must never see half of it.
    draft = port_file.with_name(f".{port_file.name}.tmp")
    draft.write_text(json.dumps({"port": port}), encoding="utf-8")
    draft.replace(port_file)
