"""Serves moto's S3 on loopback.

Moto keeps all buckets in one state per process, which `running_s3` empties when it begins and when it ends: run
one at a time in a process, or start others with `python -m devstack.s3`.
"""

import ipaddress
import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from core.errors import ConfigurationError

_BACKLOG: Final = 128
_POLL_S: Final = 0.05

DUMMY_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""What boto3 wants to see; moto checks none of it."""


@dataclass(frozen=True)
class S3Address:
    """Where the server can be reached.

    Attributes:
        host: the loopback address.
        port: the port.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """The value for `AWS_ENDPOINT_URL_S3`."""
        return f"http://{self.host}:{self.port}"


@contextmanager
def running_s3(*, host: str = "127.0.0.1", port: int = 0) -> Iterator[S3Address]:
    """Serve an empty S3 in a thread of this process, and stop at the end.

    Args:
        host: a loopback address.
        port: the port; 0 takes a free one.

    Yields:
        Where it is.

    Raises:
        ConfigurationError: when the address is not on loopback or the port is taken.
    """
    # One line of log a request would drown everything else.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with _listening(host, port) as listener:
        _forget_everything()
        # Not ThreadedMotoServer, which waits for ever when it cannot bind its port.
        server = make_server(
            host,
            port,
            DomainDispatcherApplication(create_backend_app),
            threaded=True,
            request_handler=MotoRequestHandler,
            fd=listener.fileno(),
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_S}, daemon=True)
        thread.start()
        try:
            yield S3Address(host, listener.getsockname()[1])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            _forget_everything()


def serve(host: str, port: int, port_file: Path | None, stop: threading.Event) -> None:
    """Serve until `stop` is set.

    Args:
        host: a loopback address.
        port: the port; 0 takes a free one.
        port_file: where to write `{"port": ...}` once the server answers; None for nowhere.
        stop: set it to stop.
    """
    with running_s3(host=host, port=port) as address:
        if port_file is not None:
            # A reader polls for the file: it must never see half of it.
            draft = port_file.with_name(f".{port_file.name}.tmp")
            draft.write_text(json.dumps({"port": address.port}), encoding="utf-8")
            draft.replace(port_file)
        stop.wait()


def _forget_everything() -> None:
    BackendDict.reset()
    reset_model_data()


def _listening(host: str, port: int) -> socket.socket:
    if not ipaddress.ip_address(host).is_loopback:
        raise ConfigurationError(f"{host} is not a loopback address; moto checks no credentials")
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}; choose another port, or 0") from error
