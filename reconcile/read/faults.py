"""What is said of a value that cannot be read: where it stands and of what form it is, never what it is.

Reasons go to reports, logs, audit tables and chats, and the libraries' own errors quote the value that they refuse,
which may be a person's. So no text of theirs that may hold one is passed on.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

REFUSED: Final = (pa.ArrowException, ValueError, OverflowError)
"""What conversions raise on values; errors of msgspec are value errors."""

_CAUSES: Final = {
    "would lose data": "it would lose something",
    "would cause data loss": "it would lose something",
    "would truncate": "it would lose something",
    "truncated": "it would lose something",
    "not in range": "it is out of range",
    "out of range": "it is out of range",
    "out of bounds": "it is out of range",
    "too large": "it is out of range",
    "too long": "it is out of range",
    "does not fit": "it is out of range",
    "zone offset": "a zone is there or lacking",
}
"""Words of the libraries, and ours for them."""


class ValueFaultError(ValueError):
    """A value that cannot become what it is to be; the message does not hold it.

    Args:
        row: where it stands among the values that were converted, from 0.
        words: its form, and why it is refused.
    """

    def __init__(self, row: int, words: str) -> None:
        super().__init__(words)
        self.row = row


def converted(values: Any, convert: Callable[[Any], pa.Array]) -> pa.Array:
    """Return values converted, or tell of the first that cannot be without holding it.

    Args:
        values: a list, or an Arrow array.
        convert: converts any part of them.

    Returns:
        What `convert` gives for all.

    Raises:
        ValueFaultError: when it refuses a value.
    """
    try:
        return convert(values)
    except REFUSED as error:
        row = _first_refused(values, convert)
        # Without its cause, whose text holds the value.
        raise ValueFaultError(row, f"{_form(values, row)}{_cause(error)}") from None


def _first_refused(values: Sequence[Any], convert: Callable[[Any], pa.Array]) -> int:
    """Return the place of the first value that is refused, by halves: a part is refused when some value in it is."""
    good, bad = 0, len(values)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(values[good:middle])
        except REFUSED:
            bad = middle
        else:
            good = middle
    return good


def _form(values: Any, row: int) -> str:
    if row >= len(values):
        return "no value of its type"
    if not isinstance(values, pa.Array):
        return _form_of(values[row])
    try:
        return _form_of(values[row].as_py()) if _is_plain(values.type) else f"a value of type {values.type}"
    except UnicodeDecodeError:
        return "a text that is not UTF-8"


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _form_of(value: object) -> str:
    return f"a text of {len(value)} characters" if isinstance(value, str) else f"a value of type {type(value).__name__}"


def _cause(error: BaseException) -> str:
    text = str(error)
    return next((f": {ours}" for theirs, ours in _CAUSES.items() if theirs in text), "")
