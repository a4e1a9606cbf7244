"""The ways a message in Avro says by which schema it was written.

- an object container file (https://avro.apache.org/docs/1.12.0/specification/#object-container-files) carries it,
- the single-object encoding (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding) its
  fingerprint, and the schema itself stands in a folder,
- Confluent's wire format
  (https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format)
  its number in a registry.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import fastavro
import msgspec
from cachetools import LRUCache
from fastavro.schema import fingerprint, to_parsing_canonical_form

from core.errors import ConfigurationError, DecodeError
from ingest.decode.avro.blocks import DAMAGE, MAGIC, contained_record
from ingest.decode.avro.schemas import AvroSchema, avro_schema, read_avro_schema

SINGLE_OBJECT: Final = b"\xc3\x01"
CONFLUENT: Final = b"\x00"

_FINGERPRINT_BYTES: Final = 8
_ID_BYTES: Final = 4
_CONTAINER_SCHEMAS: Final = 64

_json_decoder = msgspec.json.Decoder()


class Written(NamedTuple):
    """A record.

    Attributes:
        record: its fields, as Avro's primitive types.
        schema: what it was written by.
    """

    record: Mapping[str, Any]
    schema: AvroSchema


def avro_reader(
    by_id: Callable[[int], AvroSchema], by_fingerprint: Mapping[bytes, AvroSchema]
) -> Callable[[bytes], Written]:
    """Return what reads a message in any of the three ways.

    Args:
        by_id: finds a schema in the registry.
        by_fingerprint: the schemas of the folder.

    Returns:
        A function from a message's data to its record. It raises `DecodeError` (`invalid_avro`, `invalid_schema`,
        `unknown_schema`, `batch_of_rows`, `too_large`, `unsupported_codec`) and what `by_id` raises.
    """
    carried: LRUCache[str, AvroSchema] = LRUCache(_CONTAINER_SCHEMAS)

    def read(data: bytes) -> Written:
        if data.startswith(MAGIC):
            return _read_container(data, carried)
        if data.startswith(SINGLE_OBJECT):
            end = len(SINGLE_OBJECT) + _FINGERPRINT_BYTES
            schema = by_fingerprint.get(data[len(SINGLE_OBJECT) : end])
            if schema is None:
                raise DecodeError(
                    "unknown_schema",
                    "no schema of MILLRACE_INGEST_AVRO_SCHEMAS_PATH has the fingerprint of the message; add its .avsc",
                )
            return _read(data[end:], schema)
        if data.startswith(CONFLUENT) and len(data) > _ID_BYTES:
            end = len(CONFLUENT) + _ID_BYTES
            return _read(data[end:], by_id(int.from_bytes(data[len(CONFLUENT) : end], "big")))
        raise DecodeError("invalid_avro", "neither an Avro container, nor a single object, nor Confluent's wire format")

    return read


def load_schema_folder(folder: Path | None) -> dict[bytes, AvroSchema]:
    """Read the schemas of a folder.

    Args:
        folder: where the `.avsc` files stand; None for no folder.

    Returns:
        The schemas by their CRC-64-AVRO fingerprints, as messages spell them.

    Raises:
        ConfigurationError: when the folder is missing, or a file holds no schema.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder}: no such folder; set MILLRACE_INGEST_AVRO_SCHEMAS_PATH to that of the .avsc"
        )
    schemas = {}
    for path in sorted(folder.rglob("*.avsc")):
        try:
            schema = _json_decoder.decode(path.read_bytes())
            # Printed as the encoding has it, the lowest byte first.
            digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
            schemas[bytes.fromhex(digest)] = avro_schema(schema)
        except (OSError, DecodeError, msgspec.DecodeError, *DAMAGE) as error:
            raise ConfigurationError(f"{path}: holds no Avro schema: {error}") from error
    return schemas


def _read_container(data: bytes, carried: LRUCache[str, AvroSchema]) -> Written:
    record = contained_record(data)
    schema = carried.get(record.schema_text)
    if schema is None:
        schema = carried[record.schema_text] = read_avro_schema(record.schema_text)
    return _read(record.data, schema)


def _read(data: bytes, schema: AvroSchema) -> Written:
    stream = io.BytesIO(data)
    try:
        record = fastavro.schemaless_reader(stream, schema.parsed, None)
    except DAMAGE as error:
        raise DecodeError(
            "invalid_avro", f"the message was not written by the schema it names: {type(error).__name__}"
        ) from error
    if stream.read(1):
        raise DecodeError("invalid_avro", "bytes are left after the record: not the schema it was written by")
    if not isinstance(record, dict):
        raise DecodeError("invalid_avro", "the message holds no record")
    return Written(record, schema)
