"""What stands in a row image for a value that was not sent: Debezium's placeholder, in whichever form.

PostgreSQL keeps large values out of line, and does not log them again when they have not changed. Debezium then writes
`unavailable.value.placeholder` instead, in the form of the column's type: text; the text's bytes; a list of the text,
of its bytes, of its bytes as numbers, or of the name-based UUID made of them; a mapping from the text to itself
(https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-toasted-values). The casts of
the structure zone know the default text, alone or first in a list, and its base64: all others become one of these.
"""

import base64
import hashlib
import uuid
from typing import Final

from core.contracts import TableContract
from core.debezium import UNAVAILABLE_VALUE

_IN_BASE64: Final = base64.b64encode(UNAVAILABLE_VALUE.encode()).decode()
_KNOWN: Final = frozenset({UNAVAILABLE_VALUE, _IN_BASE64})


class Markers:
    """Recognises the placeholder in the images of a table."""

    def __init__(self, contract: TableContract) -> None:
        """Work out the placeholder's forms.

        Args:
            contract: the table.
        """
        placeholder = contract.debezium.unavailable_value
        raw = placeholder.encode()
        name_based = str(uuid.UUID(bytes=hashlib.md5(raw, usedforsecurity=False).digest(), version=3))
        in_base64 = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
        self._texts = _KNOWN | {placeholder, raw.hex()} | in_base64
        self._lists = [*([text] for text in self._texts), [name_based], list(raw)]
        self._mapping = {placeholder: placeholder}
        self._types = {column.name: column.data_type for column in contract.columns}
        numbers = ",".join(map(str, raw))
        self._hints = tuple(text.encode() for text in (*self._texts, name_based, numbers))
        rewritten = (name_based.encode(), numbers.encode(), raw.hex().encode(), b'{"' + raw + b'":')
        self._rewritten_hints = rewritten if placeholder == UNAVAILABLE_VALUE else self._hints

    def may_hold(self, text: bytes) -> bool:
        """Tell whether an image may hold a placeholder.

        Args:
            text: the image, without white space between its values, as Debezium writes it.
        """
        return _holds_any(text, self._hints)

    def may_rewrite(self, text: bytes) -> bool:
        """Tell whether an image may hold a placeholder in a form that the casts do not know.

        Args:
            text: the image, as for `may_hold`.
        """
        return _holds_any(text, self._rewritten_hints)

    def read(self, name: str, value: object) -> object | None:
        """Return the marker that a value is.

        Args:
            name: the column.
            value: what stands in the image.

        Returns:
            The marker as the casts know it, the same object when it came so; None when the value is a value.
        """
        data_type = self._types.get(name, "")
        if isinstance(value, str):
            if value not in self._texts:
                return None
            return value if value in _KNOWN else _IN_BASE64 if data_type == "bytes" else UNAVAILABLE_VALUE
        if isinstance(value, list):
            if value not in self._lists:
                return None
            return value if value[0] in _KNOWN else [UNAVAILABLE_VALUE]
        return UNAVAILABLE_VALUE if value == self._mapping else None


def _holds_any(text: bytes, hints: tuple[bytes, ...]) -> bool:
    for hint in hints:  # noqa: SIM110 - every image of the hot path comes by here, and a generator takes twice as long
        # `in` would first try whether the hint is a number, which takes longer than the search.
        if text.find(hint) >= 0:
            return True
    return False
