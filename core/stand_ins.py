"""Whether the local stack that the settings point at is there, told before a client waits minutes for it."""

import socket
import urllib.parse
from collections.abc import Collection, Mapping
from typing import Final

from core.errors import UnavailableError
from core.settings import Settings

BIGQUERY: Final = "BIGQUERY_EMULATOR_HOST"
BIGQUERY_STORAGE: Final = "BIGQUERY_STORAGE_EMULATOR_HOST"
PUBSUB: Final = "PUBSUB_EMULATOR_HOST"
S3: Final = "AWS_ENDPOINT_URL_S3"

FIX: Final = 'start the local stack with `devstack up`, then point this shell at it with `eval "$(devstack env)"`'
_PATIENCE_S: Final = 1.0


def check_stand_ins(settings: Settings, needed: Collection[str] = (BIGQUERY, BIGQUERY_STORAGE, PUBSUB)) -> None:
    """Make sure that somebody listens where the settings say that a stand-in is.

    Real services, which no variable points away from, are not looked at: a wait for those may be worth it.

    Args:
        settings: where the stand-ins are.
        needed: variables of those that are needed.

    Raises:
        UnavailableError: when nobody listens; the message names the addresses and the fix.
    """
    addresses = {
        name: address for name, address in _addresses(settings).items() if name in needed and address is not None
    }
    silent = [f"{address} ({name})" for name, address in addresses.items() if not is_listening(address)]
    if silent:
        raise UnavailableError(f"nothing listens at {', '.join(silent)}: {FIX}")


def is_listening(address: str) -> bool:
    """Tell whether a connection to an address can be made.

    Args:
        address: `host:port`, with or without a scheme.
    """
    parts = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
        socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE_S).close()
    except (OSError, ValueError):
        return False
    return True


def _addresses(settings: Settings) -> Mapping[str, str | None]:
    return {
        BIGQUERY: settings.bigquery_emulator_host,
        BIGQUERY_STORAGE: settings.bigquery_storage_emulator_host,
        PUBSUB: settings.pubsub_emulator_host,
        S3: settings.s3_endpoint_url,
    }
