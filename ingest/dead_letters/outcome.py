"""What a replay did, and the rows of the ledger that say so."""

import msgspec

from ingest.dead_letters.archive import Letter
from ingest.dead_letters.tables import REPLAY_TYPE


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did.

    Attributes:
        replay_id: the call, as in the ledger.
        replayed: letters that were sent again, or landed.
        unreadable: message ids of letters whose body cannot be read, with the reason in words.
        refused: message ids of letters that cannot be sent or landed, with the reason in words.
    """

    replay_id: str
    replayed: int
    unreadable: dict[str, str]
    refused: dict[str, str]


def ledger_row(letter: Letter, event_id: str, replay_id: str, now_us: int) -> bytes:
    """Return the row of `audit.dead_letter_replays` by which a letter is not sent again.

    Args:
        letter: which one.
        event_id: the id that it has now.
        replay_id: the call.
        now_us: the present instant, in microseconds since 1970 UTC.
    """
    row: bytes = REPLAY_TYPE.message_class(
        event_id=letter.event_id,
        topic=letter.topic,
        replay_event_id=event_id,
        replay_id=replay_id,
        replayed_at=now_us,
    ).SerializeToString()
    return row
