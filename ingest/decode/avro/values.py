"""Avro's values as Kafka Connect's JSON converter writes them: bytes in base64, what is no finite number as text."""

import base64
import struct
from math import isfinite, isnan
from typing import Final

from ingest.decode.connect import Schema

_FLOAT_DIGITS: Final = range(6, 10)
"""Significant digits of a 32-bit float: what every one of them keeps, to what is always enough (IEEE 754)."""

_SINGLE: Final = struct.Struct(">f")


def to_json(value: object, schema: Schema | None) -> object:
    """Return a value in the form of JSON.

    Args:
        value: what Avro's reader made of it.
        schema: its schema; None where it is not known.

    Returns:
        The value.
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return _float(value, is_single=schema is not None and schema.type == "float32")
    if isinstance(value, dict):
        fields = {field.field: field for field in schema.fields} if schema is not None else {}
        return {name: to_json(each, fields.get(name)) for name, each in value.items()}
    if isinstance(value, list):
        items = schema.items if schema is not None else None
        return [to_json(each, items) for each in value]
    return value


def _float(value: float, *, is_single: bool) -> object:
    if isnan(value):
        return "NaN"
    if not isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    return _shortest(value) if is_single else value


def _shortest(value: float) -> float:
    """Return the double of the fewest digits that stands for the same 32-bit float: 0.1, not 0.10000000149."""
    for digits in _FLOAT_DIGITS:
        short = float(f"{value:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == value:
            return short
    return value
