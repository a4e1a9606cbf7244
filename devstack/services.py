"""What the local stack is made of: one process per stand-in, each told to take a free loopback port."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import MillraceError
from devstack.bigquery import TRANSLATIONS

ServiceName = Literal["bigquery", "pubsub", "s3", "member_api"]
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """A stand-in and how to start it.

    Attributes:
        name: name of the service, and of its module in `devstack`.
        title: what it stands in for.
        ports: names of the ports it opens, in the order of `port_options`.
        port_options: command-line option per port.
    """

    name: ServiceName
    title: str
    ports: tuple[str, ...]
    port_options: tuple[str, ...]


SERVICES: tuple[Service, ...] = (
    Service("bigquery", "BigQuery", ("rest", "grpc"), ("--rest-port", "--grpc-port")),
    Service("pubsub", "Pub/Sub", ("port",), ("--port",)),
    Service("s3", "S3", ("port",), ("--port",)),
    Service("member_api", "member API", ("port",), ("--port",)),
)


def command(service: Service, folder: Path, ports: Mapping[str, int]) -> list[str]:
    """Return the command line that starts a service.

    Args:
        service: what to start.
        folder: where its port file, and for the member API its store, stand.
        ports: the ports it must take; one that is missing is chosen by the system.

    Returns:
        An argument vector for this interpreter.
    """
    arguments = [sys.executable, "-m", f"devstack.{service.name}", "--port-file", str(port_file(service, folder))]
    for name, option in zip(service.ports, service.port_options, strict=True):
        arguments += [option, str(ports.get(name, 0))]
    if service.name == "bigquery":
        arguments += ["--translations", str(TRANSLATIONS)]
    if service.name == "member_api":
        arguments += ["--store", str(api_store(folder)), "--token-env", "MILLRACE_API_TOKEN"]
    return arguments


def port_file(service: Service, folder: Path) -> Path:
    """Return the file a service writes its ports to once it answers."""
    return folder / f"{service.name}.port"


def api_store(folder: Path) -> Path:
    """Return the file that the member API serves and the generator writes."""
    return folder / "member-api.sqlite"


def read_ports(service: Service, folder: Path) -> dict[str, int] | None:
    """Return the ports a service has written, or None while it has not.

    Args:
        service: the service asked about.
        folder: where its port file stands.

    Returns:
        Port number by port name.

    Raises:
        MillraceError: when the file holds something else.
    """
    try:
        text = port_file(service, folder).read_text().strip()
    except FileNotFoundError:
        return None
    if not text:
        return None
    try:
        document = json.loads(text)
        found = document if isinstance(document, dict) else {service.ports[0]: document}
        return {name: int(found[name]) for name in service.ports}
    except (ValueError, KeyError, TypeError) as error:
        raise MillraceError(f"{port_file(service, folder)} holds no ports of {service.title}: {text!r}") from error
