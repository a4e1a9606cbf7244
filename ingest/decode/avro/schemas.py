"""An Avro schema: how to read what was written by it, and what Kafka Connect meant by it.

Debezium's Avro comes from Kafka Connect's converter, which keeps its own types' names as `connect.name` and
`connect.parameters` (https://debezium.io/documentation/reference/stable/configuration/avro.html). Values are read as
Avro's primitive types and left to whoever knows those names, as they would be in JSON: logical types are not applied
(https://avro.apache.org/docs/1.12.0/specification/#logical-types), but stand for a name where there is none.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType

from core.errors import DecodeError
from ingest.decode.avro.sizes import check_sizes
from ingest.decode.connect import DECIMAL, Schema

_CONNECT_TYPES: Final[Mapping[str, str]] = {
    "record": "struct", "error": "struct", "fixed": "bytes", "enum": "string", "int": "int32", "long": "int64",
    "float": "float32", "double": "float64",
}  # fmt: skip
_LOGICAL_NAMES: Final[Mapping[str, str]] = {
    "decimal": DECIMAL,
    "date": "io.debezium.time.Date",
    "time-millis": "io.debezium.time.Time",
    "time-micros": "io.debezium.time.MicroTime",
    "timestamp-millis": "io.debezium.time.Timestamp",
    "timestamp-micros": "io.debezium.time.MicroTimestamp",
    "timestamp-nanos": "io.debezium.time.NanoTimestamp",
    "local-timestamp-millis": "io.debezium.time.Timestamp",
    "local-timestamp-micros": "io.debezium.time.MicroTimestamp",
    "local-timestamp-nanos": "io.debezium.time.NanoTimestamp",
}

_text_decoder = msgspec.json.Decoder()


class AvroSchema(NamedTuple):
    """A schema.

    Attributes:
        parsed: for `fastavro`, without logical types.
        connect: the schema as Kafka Connect has it.
    """

    parsed: Any
    connect: Schema


def read_avro_schema(text: str | bytes, named: Mapping[str, Any] | None = None) -> AvroSchema:
    """Read a schema.

    Args:
        text: the schema as JSON.
        named: schemas it refers to, by full name, as they stand in JSON.

    Returns:
        The schema.

    Raises:
        DecodeError: `invalid_schema`.
    """
    try:
        return avro_schema(_text_decoder.decode(text), named)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise DecodeError("invalid_schema", "an Avro schema is no JSON") from error


def avro_schema(schema: Any, named: Mapping[str, Any] | None = None) -> AvroSchema:
    """Make a schema of its parsed JSON.

    Args:
        schema: the JSON.
        named: as for `read_avro_schema`.

    Returns:
        The schema.

    Raises:
        DecodeError: `invalid_schema`, or `unsupported_schema`.
    """
    try:
        known: dict[str, Any] = {}
        for reference in (named or {}).values():
            fastavro.parse_schema(_primitive(reference), known)
        parsed = fastavro.parse_schema(_primitive(schema), known)
        check_sizes(parsed, known)
        names = dict(named or {})
        return AvroSchema(parsed, _connect(schema, "", names, ()))
    except (SchemaParseException, UnknownType, LookupError, TypeError, ValueError, RecursionError) as error:
        raise DecodeError("invalid_schema", f"an Avro schema cannot be read: {type(error).__name__}") from error


def _primitive(schema: Any) -> Any:
    """Leave out what would turn the values into more than Avro's primitive types."""
    if isinstance(schema, dict):
        return {name: _primitive(each) for name, each in schema.items() if name not in ("logicalType", "default")}
    return [_primitive(each) for each in schema] if isinstance(schema, list) else schema


def _connect(schema: Any, field: str, names: dict[str, Any], within: tuple[str, ...]) -> Schema:
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return _connect(branches[0], field, names, within) if len(branches) == 1 else Schema("union", field=field)
    if isinstance(schema, str):
        if schema in within or schema not in names:
            return Schema(_CONNECT_TYPES.get(schema, schema), field=field)
        return _connect(names[schema], field, names, (*within, schema))
    kind = schema["type"]
    if not isinstance(kind, str) or kind in names:
        return _connect(kind, field, names, within)
    for name in _full_names(schema):
        names[name] = schema
        within = (*within, name)
    return Schema(
        type=_CONNECT_TYPES.get(kind, kind),
        name=schema.get("connect.name") or _LOGICAL_NAMES.get(schema.get("logicalType", "")),
        field=field,
        fields=tuple(_connect(each["type"], each["name"], names, within) for each in schema.get("fields", ())),
        items=_connect(schema["items"], "", names, within) if "items" in schema else None,
        parameters={"scale": str(schema.get("scale", 0)), **schema.get("connect.parameters", {})},
    )


def _full_names(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names by which a schema may be referred to."""
    name, namespace = schema.get("name"), schema.get("namespace")
    if not isinstance(name, str):
        return ()
    return (name, f"{namespace}.{name}") if namespace else (name,)
