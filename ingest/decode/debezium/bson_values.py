"""MongoDB's values as the casts of the structure zone read them.

Documents come as Extended JSON, canonical or relaxed, and older connectors write its first version
(https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md); `bson.json_util` reads
them all. Every type of https://bsonspec.org/spec.html has one form:

| BSON | JSON |
| --- | --- |
| string, boolean, null, document, array | as in JSON |
| 32-bit and 64-bit integer, double | number; a double without a value is `"NaN"`, `"Infinity"` or `"-Infinity"` |
| decimal128 | text, every digit kept |
| date | text, `YYYY-MM-DDTHH:MM:SS.fffZ`; outside the years 1 to 9999 microseconds since 1970 |
| timestamp | text, the second it counts in: `YYYY-MM-DDTHH:MM:SSZ` |
| ObjectId | text, 24 hexadecimal digits |
| binary | base64; UUIDs as their text, but for columns of bytes |
| regular expression | `{"pattern": .., "options": ..}` |
| JavaScript | text; with a scope `{"code": .., "scope": ..}` |
| symbol | text |
| DBRef, DBPointer | `{"ref": .., "id": ..}`, with `"db"` when it names one |
| min key, max key | `{"$minKey": 1}`, `{"$maxKey": 1}` |
| undefined | null |

A column declared as a string gets anything else as JSON text, and one declared as a whole number gets `5.0` as `5`.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite, isnan
from typing import Final
from uuid import UUID

import msgspec
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation
from bson.code import Code
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from bson.json_util import JSONOptions, object_hook

from core.clock import from_micros
from core.contracts import Column
from core.errors import DecodeError
from ingest.decode.payload import explain

_OPTIONS: Final = JSONOptions(
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)
_FAULTS: Final = (BSONError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What the library raises for text that is Extended JSON only at first sight."""

_decoder = msgspec.json.Decoder()


def read_extended_json(text: str | bytes) -> object:
    """Read a value of Extended JSON.

    Args:
        text: the value.

    Returns:
        It, as the JSON forms above; binary values and UUIDs as Python has them, for `fit` or `settle`.

    Raises:
        DecodeError: `invalid_extended_json`, or why it is no JSON.
    """
    try:
        parsed = _decoder.decode(text)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise explain(error, text.encode() if isinstance(text, str) else text) from error
    try:
        return _plain(_typed(parsed))
    except _FAULTS as error:
        raise DecodeError(
            "invalid_extended_json", f"a document is no Extended JSON that can be read: {type(error).__name__}"
        ) from error


def fit(value: object, column: Column | None) -> object:
    """Return a top-level value of a document in the form its column is read in.

    Args:
        value: what `read_extended_json` made of it.
        column: its column in the contract; None when it declares none.

    Returns:
        A value that can be written as JSON.
    """
    data_type = column.data_type if column else None
    if isinstance(value, UUID) and data_type == "bytes":
        value = value.bytes
    value = settle(value)
    if data_type == "string" and value is not None and not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if data_type == "int64" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def settle(value: object) -> object:
    """Return a value with the binary ones in it as text.

    Args:
        value: what `read_extended_json` made of it.
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        return {name: settle(each) for name, each in value.items()}
    if isinstance(value, list):
        return [settle(each) for each in value]
    return value


def _typed(value: object) -> object:
    """Apply the library's reading of one object to all of them, from the innermost outwards."""
    if isinstance(value, dict):
        return object_hook({name: _typed(each) for name, each in value.items()}, _OPTIONS)
    if isinstance(value, list):
        return [_typed(each) for each in value]
    return value


def _plain(value: object) -> object:
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    return value


def _float(value: float) -> object:
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal128) -> str:
    number = value.to_decimal()
    if number.is_finite():
        return format(number, "f")
    return "NaN" if number.is_nan() else "Infinity" if number > 0 else "-Infinity"


def _date(value: DatetimeMS) -> object:
    millis = int(value)
    try:
        text = from_micros(millis * 1_000).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return millis * 1_000
    return f"{text.rjust(19, '0')}.{millis % 1_000:03d}Z"


def _timestamp(value: Timestamp) -> str:
    return datetime.fromtimestamp(value.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _regex(value: "Regex[str]") -> object:
    letters = (("i", 2), ("l", 4), ("m", 8), ("s", 16), ("u", 32), ("x", 64))
    return {"pattern": value.pattern, "options": "".join(letter for letter, flag in letters if value.flags & flag)}


def _code(value: Code) -> object:
    return str(value) if value.scope is None else {"code": str(value), "scope": _plain(dict(value.scope))}


def _reference(value: DBRef) -> object:
    reference = {"ref": value.collection, "id": _plain(value.id)}
    return reference if value.database is None else {**reference, "db": value.database}


_WRITERS: Final[Mapping[type, Callable[..., object]]] = {
    dict: lambda value: {name: _plain(each) for name, each in value.items()},
    list: lambda value: [_plain(each) for each in value],
    Code: _code,
    bool: lambda value: value,
    Int64: int,
    float: _float,
    Decimal128: _decimal,
    DatetimeMS: _date,
    Timestamp: _timestamp,
    ObjectId: str,
    Regex: _regex,
    DBRef: _reference,
    MinKey: lambda _: {"$minKey": 1},
    MaxKey: lambda _: {"$maxKey": 1},
}
"""How each type of the library is written; the first that fits counts."""
