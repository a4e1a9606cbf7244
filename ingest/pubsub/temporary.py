"""Subscriptions that live as long as a command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import structlog
from google.api_core.exceptions import GoogleAPIError, NotFound, PermissionDenied

from core.clients import subscriber_client
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from ingest.resources import topic_path

_log = structlog.get_logger(__name__)

_ACK_DEADLINE_S: Final = 60
_EXPIRES_AFTER: Final = timedelta(days=1)
"""The least that Pub/Sub takes: what a killed command leaves behind is gone a day later."""

_TIMEOUT_S: Final = 10.0


@asynccontextmanager
async def temporary_subscription(
    settings: Settings, topic: str, suffix: str, retention: timedelta = timedelta(minutes=10)
) -> AsyncIterator[str]:
    """Subscribe to a topic while the context lasts.

    Args:
        settings: where Pub/Sub is.
        topic: short name of the topic.
        suffix: of the subscription's name, after the topic's.
        retention: how long a message waits that is not acknowledged.

    Yields:
        Full name of the subscription.

    Raises:
        ConfigurationError: when the topic does not exist, or no subscription may be made.
        UnavailableError: when Pub/Sub does not answer.
    """
    name = f"projects/{settings.project}/subscriptions/{topic}{suffix}"
    request: dict[str, Any] = {
        "name": name,
        "topic": topic_path(settings, topic),
        "ack_deadline_seconds": _ACK_DEADLINE_S,
        "enable_message_ordering": True,
        "message_retention_duration": retention,
        "expiration_policy": {"ttl": _EXPIRES_AFTER},
        "labels": {"millrace": "temporary"},
    }
    client = subscriber_client(settings)
    try:
        await asyncio.to_thread(_create, client, request)
        try:
            yield name
        finally:
            await asyncio.to_thread(_delete, client, name)
    finally:
        client.close()


def _create(client: Any, request: dict[str, Any]) -> None:
    try:
        client.create_subscription(request=request, timeout=_TIMEOUT_S, retry=None)
    except NotFound as error:
        raise ConfigurationError(
            f"{request['topic']} does not exist; create it (`ingest setup` locally, terraform elsewhere)"
        ) from error
    except PermissionDenied as error:
        raise ConfigurationError(
            f"a subscription of {request['topic']} may not be made: grant roles/pubsub.editor on the project for as "
            "long as you need it"
        ) from error
    except GoogleAPIError as error:
        raise UnavailableError(f"{request['name']} could not be made: {error}") from error


def _delete(client: Any, name: str) -> None:
    try:
        client.delete_subscription(request={"subscription": name}, timeout=_TIMEOUT_S, retry=None)
    except GoogleAPIError as error:
        _log.warning("left behind", subscription=name, expires_after=str(_EXPIRES_AFTER), why=str(error))
