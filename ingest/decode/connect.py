"""Kafka Connect's schemas, which say what a value's JSON form alone does not: a decimal's scale, a time's unit.

With `schemas.enable` the JSON converter wraps every message as `{"schema": .., "payload": ..}`; without, the schema
is not sent. Connect has few types of its own (https://kafka.apache.org/documentation/#connect); a schema's `name` says
what is meant by one (https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from core.errors import DecodeError
from ingest.decode.payload import explain

DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
VARIABLE_SCALE_DECIMAL: Final = "io.debezium.data.VariableScaleDecimal"

_KEPT_SCHEMAS: Final = 256


class Schema(msgspec.Struct, frozen=True, eq=False):
    """A schema, or a field of one. Equal schemas of one text are the same object, so it can serve as a key.

    Attributes:
        type: `struct`, `array`, `map`, `bytes`, `string`, `int64` and so on.
        name: what is meant by the type, such as `io.debezium.time.Timestamp`.
        field: name of the field, within a struct.
        fields: the fields of a struct, in order.
        items: the elements of an array.
        parameters: such as the `scale` of a decimal.
    """

    type: str = "struct"
    name: str | None = None
    field: str = ""
    fields: tuple["Schema", ...] = ()
    items: "Schema | None" = None
    parameters: Mapping[str, str] = {}

    def child(self, name: str) -> "Schema | None":
        """Return the field of a struct called `name`, or None.

        Args:
            name: the field.
        """
        return next((field for field in self.fields if field.field == name), None)


_decoder: msgspec.json.Decoder[Schema | None] = msgspec.json.Decoder(Schema | None)


@lru_cache(_KEPT_SCHEMAS)
def read_schema(text: bytes) -> Schema | None:
    """Read the `schema` of a wrapped message.

    Args:
        text: the schema, as the JSON converter writes it.

    Returns:
        The schema, the same object for the same text; None for the schema of nothing.

    Raises:
        DecodeError: `invalid_schema`, or why it is no JSON.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid_schema", f"the message's schema is none of Kafka Connect's: {error}") from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain(error, text) from error
