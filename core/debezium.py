"""How a table's Debezium connector was told to write values, declared where events without schemas do not say so."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

UNAVAILABLE_VALUE = "__debezium_unavailable_value"
"""What stands for a value that the source did not send and that has not changed, in every landed row image."""


class DebeziumHandling(BaseModel):
    """Properties of a connector, under their own names and with their own values.

    They are described with each connector, such as
    https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-connector-properties.

    Attributes:
        decimal_handling: `decimal.handling.mode`.
        time_precision: `time.precision.mode`; None when every time and timestamp comes in microseconds or as text.
        binary_handling: `binary.handling.mode`.
        unavailable_value: `unavailable.value.placeholder`.
        metadata_prefix: `add.fields.prefix` and `add.headers.prefix` of flattened events.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal_handling: Literal["precise", "string", "double"] = "string"
    time_precision: (
        Literal["adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"] | None
    ) = None
    binary_handling: Literal["bytes", "base64", "base64-url-safe", "hex"] = "bytes"
    unavailable_value: Annotated[str, Field(min_length=1)] = UNAVAILABLE_VALUE
    metadata_prefix: Annotated[str, Field(min_length=1)] = "__"
