"""What all dialects ask of a row image: that it is JSON BigQuery can read, its fields and their fingerprint."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from core.errors import DecodeError
from core.telemetry import ATTRIBUTES

_NOT_FINITE = re.compile(rb"[:\[,]\s*[+-]?(NaN|Infinity)\b")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE: Final = "0" * 32

# The years 1 to 9999, what a BigQuery TIMESTAMP holds.
MIN_TIMESTAMP: Final = -62_135_596_800_000_000
MAX_TIMESTAMP: Final = 253_402_300_799_999_999

_decoder = msgspec.json.Decoder(dict[str, object])


def read_row(text: bytes | msgspec.Raw) -> dict[str, object]:
    """Read a row image in full.

    The text is landed as it is; reading every value of it is what finds invalid UTF-8, numbers no double
    can hold and literals that are no JSON, all of which BigQuery would refuse later, far from their cause.

    Args:
        text: a JSON object.

    Returns:
        Its fields.

    Raises:
        DecodeError: `invalid_utf8`, `number_out_of_range`, `non_finite_number` or `invalid_json`.
    """
    try:
        return _decoder.decode(text)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise explain(error, bytes(text)) from error


def explain(error: Exception, text: bytes) -> DecodeError:
    """Turn a parser's complaint into a reason code, without quoting the data.

    Args:
        error: what the parser raised.
        text: what it was reading.

    Returns:
        The error to raise.
    """
    if isinstance(error, UnicodeDecodeError):
        return DecodeError("invalid_utf8", f"not valid UTF-8 at byte {error.start}")
    if isinstance(error, RecursionError):
        return DecodeError("invalid_json", "nested too deeply")
    if "out of range" in str(error):
        return DecodeError("number_out_of_range", "holds a number that no double can hold")
    if _NOT_FINITE.search(text):
        return DecodeError("non_finite_number", "holds NaN or Infinity, which are no JSON")
    return DecodeError("invalid_json", str(error))


def fingerprint(row: Mapping[str, object]) -> str:
    """Return a short, stable hash of a row's field names, whatever their order.

    Args:
        row: a row image.

    Returns:
        16 hexadecimal digits: BLAKE2b (RFC 7693) over the sorted names as a JSON array.
    """
    return _fingerprint(tuple(row))


@lru_cache(maxsize=4096)
def _fingerprint(names: tuple[str, ...]) -> str:
    return hashlib.blake2b(msgspec.json.encode(sorted(names)), digest_size=8).hexdigest()


def trace_id(attributes: Mapping[str, str]) -> str | None:
    """Return the trace id of a message, from the attribute by which its spans are continued.

    Args:
        attributes: the message's attributes.

    Returns:
        32 hexadecimal digits; None when there is none, or it is not valid
        (W3C Trace Context, https://www.w3.org/TR/trace-context/).
    """
    header = next((attributes[name] for name in ATTRIBUTES if name in attributes), None)
    if header is None:
        return None
    match = _TRACEPARENT.fullmatch(header)
    return match[1] if match and match[1] != _NO_TRACE else None


def check_timestamp(micros: int) -> int:
    """Return `micros` when BigQuery can hold it.

    Args:
        micros: microseconds since 1970 UTC.

    Returns:
        The same number.

    Raises:
        DecodeError: `timestamp_out_of_range`.
    """
    if not MIN_TIMESTAMP <= micros <= MAX_TIMESTAMP:
        raise DecodeError("timestamp_out_of_range", "the source's timestamp lies outside the years 1 to 9999")
    return micros
