"""When a message was published first, told by a dead letter that was published again.

Rows that carry no place of their own are put in order by their publication. A letter that is sent again gets a later
one, so it says when, and under which id, it was published first: then its row keeps its place, however late it lands.

Whoever may publish can write these attributes, so they are believed only beside the attribute of a replay, and only of
an instant no later than the message's own publication: a forged one can make a message older, and never newer.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ingest.message import Message

REPLAY_OF: Final = "millrace_replay_of"
"""Attribute of a message that was published again: the message id of its dead letter."""

FIRST_PUBLISH_US: Final = "millrace_first_publish_us"
"""Attribute beside it: when the message was published first, in microseconds since 1970 UTC."""

FIRST_MESSAGE_ID: Final = "millrace_first_message_id"
"""Attribute beside it: the id it had then."""

_MICROS: Final = re.compile(r"[0-9]{1,18}")


class Publication(NamedTuple):
    """A publication of a message.

    Attributes:
        micros: when, in microseconds since 1970 UTC.
        message_id: under which id.
    """

    micros: int
    message_id: str


def first_publication(message: Message) -> Publication:
    """Return when a message was published first.

    Args:
        message: any message.

    Returns:
        What a replayed message says of itself, when that can be; else its own publication.
    """
    if REPLAY_OF in message.attributes:
        return _told(message.attributes, Publication(message.publish_ts, message.event_id))
    return Publication(message.publish_ts, message.event_id)


def replay_attributes(attributes: Mapping[str, str], message_id: str, micros: int | None) -> dict[str, str]:
    """Return the attributes of a dead letter that is published again.

    Args:
        attributes: those it had; a letter that was itself a replay hands on what they say of the first publication.
        message_id: the id it had.
        micros: when it was published, in microseconds since 1970 UTC; None when that was not written down.

    Returns:
        The same, with those of the replay.
    """
    if micros is None:
        return {**attributes, REPLAY_OF: message_id}
    own = Publication(micros, message_id)
    first = _told(attributes, own) if REPLAY_OF in attributes else own
    return {
        **attributes,
        REPLAY_OF: message_id,
        FIRST_PUBLISH_US: str(first.micros),
        FIRST_MESSAGE_ID: first.message_id,
    }


def _told(attributes: Mapping[str, str], own: Publication) -> Publication:
    micros, message_id = attributes.get(FIRST_PUBLISH_US, ""), attributes.get(FIRST_MESSAGE_ID)
    if message_id is None or not _MICROS.fullmatch(micros) or int(micros) > own.micros:
        return own
    return Publication(int(micros), message_id)
