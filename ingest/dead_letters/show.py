"""One dead letter, for a person to look at."""

from typing import Any, Final

from core.errors import ConfigurationError, UnreadableError
from ingest.dead_letters.archive import Archive, Letter
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.masking import masked, masked_attributes, masked_text, revealed

_FEW: Final = 20


def find(archive: Archive, event_id: str, topic: str | None = None) -> Letter:
    """Return a dead letter.

    Args:
        archive: the dead letters.
        event_id: its message id.
        topic: short name of its topic, when the id alone does not tell.

    Returns:
        The letter.

    Raises:
        ConfigurationError: when there is none, or one on each of several topics.
        UnavailableError: when BigQuery does not answer.
    """
    filters = Filters(topic=topic, event_ids=(event_id,), limit=_FEW)
    largest = archive.totals(filters).largest_bytes
    found = [letter for page in archive.letters(filters, largest) for letter in page]
    if not found:
        raise ConfigurationError(f"there is no dead letter {event_id!r}; `ingest dead-letters list` shows some")
    if len(found) > 1:
        topics = ", ".join(letter.topic for letter in found)
        raise ConfigurationError(f"several topics have a dead letter {event_id!r}: give --topic with one of {topics}")
    return found[0]


def shown(archive: Archive, letter: Letter, max_bytes: int, *, reveal: bool) -> dict[str, Any]:
    """Return a letter as it may be shown.

    Args:
        archive: reads the body.
        letter: which one.
        max_bytes: bytes of the body, or characters of its shape, at most.
        reveal: whether its content may be shown.

    Returns:
        Names and values, each a text, a number, None or a mapping; `data` is the body.

    Raises:
        UnavailableError: when the body's object store does not answer.
    """
    attributes = dict(letter.attributes)
    try:
        data = archive.body(letter)
        size = len(data)
        body = revealed(data[:max_bytes]) if reveal else masked(data)[:max_bytes]
    except UnreadableError as error:
        size, body = letter.data_bytes or len(letter.data), f"<{error}>"
    return {
        "event_id": letter.event_id,
        "reason": letter.reason,
        "error": letter.error or "",
        "attempts": letter.attempts,
        "topic": letter.topic,
        "table": letter.table,
        "ordering_key": letter.ordering_key if reveal else masked_text(letter.ordering_key),
        "attributes": attributes if reveal else masked_attributes(attributes),
        "publish_ts": letter.publish_ts.isoformat() if letter.publish_ts else None,
        "dead_lettered_at": letter.dead_lettered_at.isoformat(),
        "load_id": letter.load_id,
        "replayed_at": letter.replayed_at.isoformat() if letter.replayed_at else None,
        "data_uri": letter.data_uri,
        "data_bytes": size,
        "data": body,
    }
