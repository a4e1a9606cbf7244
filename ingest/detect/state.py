"""What is remembered of a row: its place in the source's order, and what it held."""

import hashlib
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Final

import msgspec

from ingest.row import RawRow

_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
_DIGITS_OF_INTEGERS: Final = 19

NO_CHANGE: Final = "NO_CHANGE"
"""The operation of a row that repeats what is known; it lands as an UPDATE whose `before` is its payload."""


class Known(msgspec.Struct, frozen=True, gc=False):
    """The last state of a row.

    Attributes:
        order: place in the order of the row's changes, see `order_of`.
        op: what happened then; NO_CHANGE among others.
        fingerprint: of the content; None when the row is deleted.
    """

    order: str
    op: str
    fingerprint: bytes | None


def order_of(row: RawRow) -> str:
    """Return a text that orders the changes of a row, the very one by which structure merges them.

    Args:
        row: a change; its position must be known.

    Returns:
        Position, sequence, time at the source, delete last; as the macro `cdc_order_key` writes it.
    """
    deleted = 1 if row.op == "DELETE" else 0
    return f"{row.source_position} {row.source_sequence or 0:020d} {row.source_ts or 0:020d} {deleted}"


def fingerprint_of(payload: bytes | None) -> bytes | None:
    """Return a hash of a row's content, whatever the order of its fields and the blanks between them.

    Numbers are compared by value, digit for digit: 1.10 is 1.1, 1e2 is 100, and no double comes in between.

    Args:
        payload: a row image, JSON; None for a row that is gone.

    Returns:
        16 bytes of BLAKE2b (RFC 7693) over the canonical JSON; None for None.
    """
    if payload is None:
        return None
    try:
        canonical = _encoder.encode(_decoder.decode(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError):
        # Whoever decoded the message accepted it, so it is landed; compared, it equals nothing but itself.
        canonical = payload
    return hashlib.blake2b(canonical, digest_size=16).digest()


def _exact(text: str) -> Decimal | int:
    """Return the one form that all texts of a number have; raise `ArithmeticError` where no exponent is so large."""
    number = Context(prec=len(text), Emin=MIN_EMIN, Emax=MAX_EMAX).normalize(Decimal(text))
    exponent = number.as_tuple().exponent
    is_whole = isinstance(exponent, int) and exponent >= 0 and number.adjusted() <= _DIGITS_OF_INTEGERS
    # As the parser reads the same number without a point.
    return int(number) if is_whole and _LEAST <= number <= _MOST else number


_decoder = msgspec.json.Decoder(float_hook=_exact)
_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="number")
