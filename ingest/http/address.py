"""Where to listen: nowhere unless asked, on loopback unless told otherwise, on Cloud Run's port there."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.errors import ConfigurationError
from ingest.http.settings import HttpSettings

LOOPBACK: Final = "127.0.0.1"
_EVERY_INTERFACE: Final = "0.0.0.0"  # noqa: S104 - only on Cloud Run, whose proxy stands before it
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True)
class Address:
    """Where to listen.

    Attributes:
        host: address of an interface.
        port: port; 0 for any free one.
    """

    host: str
    port: int


def http_address(settings: HttpSettings, environ: Mapping[str, str], port: int | None = None) -> Address | None:
    """Decide where to listen.

    Cloud Run names the port in `PORT` and reaches it from outside the container, so a service there (`K_SERVICE` is
    set) listens on every interface; see https://cloud.google.com/run/docs/container-contract. Elsewhere `PORT` means
    nothing.

    Args:
        settings: host and port, which go before Cloud Run's.
        environ: the process's environment variables.
        port: the command's `--http-port`, which goes before everything.

    Returns:
        The address; None when nothing is to be served.

    Raises:
        ConfigurationError: when Cloud Run's port is none.
    """
    is_service = bool(environ.get("K_SERVICE"))
    chosen = port if port is not None else settings.port
    if chosen is None and is_service and environ.get("PORT"):
        chosen = _port(environ["PORT"])
    if chosen is None:
        return None
    if settings.host is not None:
        return Address(str(settings.host), chosen)
    return Address(_EVERY_INTERFACE if is_service else LOOPBACK, chosen)


def bind(address: Address) -> socket.socket:
    """Take the port, so that a port in use is told before anything is pulled.

    Args:
        address: where to listen.

    Returns:
        A bound socket.

    Raises:
        ConfigurationError: when the port is taken or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
    except OSError as error:
        made.close()
        raise ConfigurationError(
            f"cannot listen on {address.host}:{address.port}: {error.strerror}; choose another --http-port, "
            "or 0 for any free one"
        ) from error
    made.setblocking(False)
    return made


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise ConfigurationError(f"PORT={text!r} is no port; it is 0 to {_HIGHEST_PORT}")
    return int(text)
