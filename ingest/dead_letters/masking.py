"""Showing a body: its shape by default, its content only when asked for, for it may hold personal data."""

import re
from typing import Any, Final

import msgspec

from core.cli import shown

_LETTER: Final = re.compile(r"[^\W\d_]")
_DIGIT: Final = re.compile(r"\d")
_PLAIN_ATTRIBUTES: Final = re.compile(r"millrace_|traceparent|tracestate|content-type|googclient_")
_HEX_WIDTH: Final = 16


def masked(data: bytes) -> str:
    """Return the shape of a body.

    Args:
        data: the body.

    Returns:
        JSON with its field names and the shapes of its values; of other text the text with each letter as x and each
        digit as 0, so that what is wrong with its form still shows; of anything else its length.
    """
    try:
        return msgspec.json.encode(_shape(msgspec.json.decode(data))).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return masked_text(data.decode())
    except UnicodeDecodeError:
        return f"<{len(data)} bytes that are no text>"


def masked_text(text: str) -> str:
    """Return a text with each letter as x and each digit as 0.

    Args:
        text: the text.
    """
    return _DIGIT.sub("0", _LETTER.sub("x", text))


def masked_attributes(attributes: dict[str, str]) -> dict[str, str]:
    """Return attributes with their values masked, but for those that transport and tracing write.

    Args:
        attributes: the attributes of a message.
    """
    return {name: value if _PLAIN_ATTRIBUTES.match(name) else masked_text(value) for name, value in attributes.items()}


def revealed(data: bytes) -> str:
    """Return a body for a terminal.

    Args:
        data: the body.

    Returns:
        The text, without control characters that would steer the terminal; a hexadecimal dump of what is no text.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return hexdump(data)
    return shown(text, keep="\n\t")


def hexdump(data: bytes) -> str:
    """Return bytes as offset, hexadecimal and ASCII, as `hexdump -C` writes them.

    Args:
        data: the bytes.
    """
    lines = []
    for start in range(0, len(data), _HEX_WIDTH):
        row = data[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)  # noqa: PLR2004 - printable ASCII
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * _HEX_WIDTH - 1}}  |{text}|")
    return "\n".join(lines)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, bool) or value is None:
        return value
    return f"<{type(value).__name__}>"
