"""JSON brought to one spelling per meaning, so that documents can be compared as text.

Members are sorted by name and white space is dropped. Numbers compare by exact decimal value (`1.10`, `1.1`
and `11e-1` are one number; a digit more is another), because the warehouse does not keep their spelling:
BigQuery parses a JSON number and writes it anew. Of members with one name the last counts, as in PostgreSQL's
jsonb. Text that is no JSON stays as it is, and so equals only itself.
"""

from collections.abc import Callable
from decimal import MAX_PREC, Context, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from reconcile.rules import JsonNumbers

# Wide enough that normalising never rounds; the number is already in memory, so this allocates nothing.
_WIDE: Final = Context(prec=MAX_PREC // 2)
_PLAIN_DIGITS: Final = 40


def canonicaliser(numbers: JsonNumbers) -> Callable[[str], str]:
    """Return the function that spells a document canonically.

    Args:
        numbers: what makes two numbers equal: `value`, the exact decimal value; `double`, the nearest
            IEEE 754 double; `text`, their spelling.

    Returns:
        A function from JSON text to canonical JSON text.
    """
    hook = {"value": _by_value, "double": _by_double, "text": _by_text}[numbers]
    decoder = msgspec.json.Decoder(float_hook=hook)
    encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")

    def canonical(text: str) -> str:
        try:
            document = decoder.decode(text)
            if numbers == "double":
                document = _integers_as_doubles(document)
            return encoder.encode(document).decode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidOperation):
            return text

    return canonical


def _by_value(text: str) -> int | Decimal:
    number = _WIDE.normalize(Decimal(text))
    if not number:
        return 0
    _, digits, exponent = number.as_tuple()
    # Written as an integer where one would write it so; 1e999999 must not become a million digits.
    if isinstance(exponent, int) and exponent >= 0 and len(digits) + exponent <= _PLAIN_DIGITS:
        return int(number)
    return number


def _by_double(text: str) -> float | Decimal:
    number = float(text)
    # JSON cannot spell infinity; what overflows keeps its value.
    return number + 0.0 if abs(number) != float("inf") else Decimal(text)


def _by_text(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _integers_as_doubles(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _integers_as_doubles(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_integers_as_doubles(value) for value in node]
    return float(node) if isinstance(node, int) and not isinstance(node, bool) else node
