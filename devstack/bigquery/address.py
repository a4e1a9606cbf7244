"""Where a running stand-in can be reached, and the file it says so in."""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigurationError, UnavailableError


@dataclass(frozen=True)
class BigQueryAddress:
    """The two endpoints of one stand-in.

    Attributes:
        host: the loopback address both servers listen on.
        rest_port: port of the REST API (datasets, tables, jobs, queries).
        grpc_port: port of the gRPC services (Storage Write, Storage Read).
    """

    host: str
    rest_port: int
    grpc_port: int

    @property
    def rest_url(self) -> str:
        """The value for `api_endpoint` in a dbt profile or in the BigQuery client's options."""
        return f"http://{self.host}:{self.rest_port}"

    @property
    def grpc_target(self) -> str:
        """The target of an insecure gRPC channel, as `host:port`."""
        return f"{self.host}:{self.grpc_port}"


def check_loopback(host: str) -> str:
    """Return `host` when it is a literal loopback address.

    Args:
        host: the address to listen on.

    Returns:
        The same text.

    Raises:
        ConfigurationError: when it is anything that another machine could reach. The stand-in has no
            authentication at all.
    """
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigurationError(f"refusing to listen on {host!r}: use a loopback address such as 127.0.0.1")
    return host


def check_free(host: str, port: int) -> None:
    """Make sure that nobody listens on a port yet.

    Args:
        host: the address to listen on.
        port: the port; 0, which takes any free one, always passes.

    Raises:
        UnavailableError: when somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection just closed is no obstacle
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnavailableError(
                f"cannot listen on {host}:{port} ({error.strerror}): stop what listens there, or choose port 0"
            ) from error


def write_port_file(path: Path, address: BigQueryAddress) -> None:
    """Publish the ports as JSON, in one step, so that a reader never sees half a file.

    Args:
        path: the file to write; its folder must exist.
        address: what to publish.
    """
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(json.dumps({"rest": address.rest_port, "grpc": address.grpc_port}), encoding="utf-8")
    draft.replace(path)


def read_port_file(path: Path, host: str) -> BigQueryAddress:
    """Read what `write_port_file` wrote.

    Args:
        path: the file.
        host: the address the server was told to listen on.

    Returns:
        The endpoints.
    """
    ports = json.loads(path.read_text(encoding="utf-8"))
    return BigQueryAddress(host, ports["rest"], ports["grpc"])
