"""Publishes corrections to the topics of their tables, in batches, each message under its record's key."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.types import PublishRequest, PubsubMessage

from core.batches import batches as cut
from core.clients import publisher_client
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from reconcile.repair.events import Correction

_TIMEOUT_S: Final = 60.0


@contextmanager
def publishing(settings: Settings) -> Iterator[PublisherClient]:
    """Open a publisher for the length of a `with` block.

    The client's own batches hold one ordering key each, and corrections have a key each: they are batched here.

    Args:
        settings: where Pub/Sub is.

    Yields:
        The publisher.

    Raises:
        CredentialsError: when there are none.
    """
    transport = publisher_client(settings).transport
    try:
        yield PublisherClient(transport=transport)
    finally:
        transport.close()


def publish(client: PublisherClient, settings: Settings, corrections: Sequence[Correction]) -> tuple[str, ...]:
    """Publish corrections of one topic in one request.

    Args:
        client: the publisher; it tries again what Pub/Sub could not take for the moment.
        settings: the project.
        corrections: one batch of `batches`.

    Returns:
        Pub/Sub's ids of the messages, in their order.

    Raises:
        ConfigurationError: when the topic is not there.
        UnavailableError: when Pub/Sub refuses the request, or does not answer.
    """
    topic = f"projects/{settings.project}/topics/{corrections[0].topic}"
    messages = [
        PubsubMessage(data=each.data, ordering_key=each.ordering_key, attributes=dict(each.attributes))
        for each in corrections
    ]
    try:
        answer = client.publish(request=PublishRequest(topic=topic, messages=messages), timeout=_TIMEOUT_S)
    except NotFound as error:
        raise ConfigurationError(f"{topic}: is not there; the contract names it: {error}") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(
            f"{topic}: {len(corrections)} corrections were not published, those before them were; run the same command "
            f"again, it publishes only the rest: {error}"
        ) from error
    return tuple(answer.message_ids)


def batches(corrections: Sequence[Correction]) -> Iterator[list[Correction]]:
    """Cut corrections of one topic into batches that fit a request each.

    Args:
        corrections: any number.

    Returns:
        Them, in their order.
    """
    return cut(corrections, lambda one: len(one.data) + len(one.ordering_key))
