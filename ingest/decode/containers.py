"""Avro object container files that hold one record, as JSON text.

The format is described in https://avro.apache.org/docs/1.12.0/specification/#object-container-files. Values are
rendered as the casts of the structure zone read them: dates and instants as ISO 8601, decimals as text, bytes in
base64.
"""

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite

import fastavro
import msgspec

from core.errors import DecodeError
from ingest.decode.avro.blocks import DAMAGE, MAGIC, contained_record


def read_container(data: bytes) -> bytes:
    """Read the one record of a container.

    Args:
        data: the container.

    Returns:
        The record as compact JSON.

    Raises:
        DecodeError: `invalid_avro`; `non_finite_number`; as `contained_record`.
    """
    if not data.startswith(MAGIC):
        raise DecodeError("invalid_avro", "not an Avro object container file")
    contained = contained_record(data)
    try:
        record = fastavro.schemaless_reader(io.BytesIO(contained.data), contained.schema, None)
    except DAMAGE as error:
        raise DecodeError("invalid_avro", f"the Avro record cannot be read: {type(error).__name__}") from error
    if not isinstance(record, dict):
        raise DecodeError("invalid_avro", "the Avro container holds no record")
    return render(record)


def render(record: Mapping[str, object]) -> bytes:
    """Write a record as JSON.

    Args:
        record: what an Avro reader made of it.

    Returns:
        Compact JSON, the fields in their order.

    Raises:
        DecodeError: `non_finite_number`, or `invalid_avro` for a value without a form in JSON.
    """
    try:
        return msgspec.json.encode(_value(record))
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError("invalid_avro", "the Avro record holds a value that has no form in JSON") from error


def _value(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        raise DecodeError("non_finite_number", "holds NaN or Infinity, which are no JSON")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0") if value.tzinfo else value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return _record(value)
    if isinstance(value, list):
        return [_value(each) for each in value]
    return value


def _record(record: Mapping[str, object]) -> object:
    """Render a record, or the value that one of Datastream's record types stands for.

    The types are described in https://cloud.google.com/datastream/docs/unified-types.
    """
    names = record.keys()
    if names == {"timestamp", "offset"}:
        return _value(record["timestamp"])
    if names == {"year", "month", "day"}:
        year, month, day = (record[name] for name in ("year", "month", "day"))
        if isinstance(year, int) and isinstance(month, int) and isinstance(day, int):
            return date(year, month, day)
    return {name: _value(value) for name, value in record.items()}
