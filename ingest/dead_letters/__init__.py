"""Dead letters: what cannot be landed, kept whole in a table and on a topic, with the reason, and sent again."""

from ingest.dead_letters.tables import DEAD_LETTER_COLUMNS, DEAD_LETTER_REPLAYS, DEAD_LETTER_TYPE, DEAD_LETTERS
from ingest.dead_letters.writer import DeadLetter, DeadLetters

__all__ = [
    "DEAD_LETTERS",
    "DEAD_LETTER_COLUMNS",
    "DEAD_LETTER_REPLAYS",
    "DEAD_LETTER_TYPE",
    "DeadLetter",
    "DeadLetters",
]
