"""Whether what a contract says can work together: each thing alone is read in `core.contracts.files`."""

from collections.abc import Iterator, Mapping
from typing import Final

from core.contracts.model import DataType, TableContract
from core.debezium import DebeziumHandling

AVRO_WIRE_FORMATS: Final = ("debezium", "debezium_flat", "datastream")
"""The dialects whose events may come in Avro."""

DEBEZIUM_WIRE_FORMATS: Final = ("auto", "debezium", "debezium_flat")
"""The dialects that a Debezium connector may have written."""

CURSOR_TYPES: Final[tuple[DataType, ...]] = (
    "date", "datetime", "timestamp", "int64", "numeric", "bignumeric", "string",
)  # fmt: skip
"""The types whose values have an order that text can keep, so that a position can be made of them."""


def contradictions(contract: TableContract) -> Iterator[str]:
    """Find what a contract asks for that no message could ever meet.

    Args:
        contract: a table, its key known.

    Yields:
        A sentence for each, with the fix.
    """
    name, wire_format = contract.name, contract.wire_format
    if contract.encoding == "avro" and wire_format not in AVRO_WIRE_FORMATS:
        yield (
            f"table {name!r} has encoding avro, which only {', '.join(AVRO_WIRE_FORMATS)} events have; "
            f"with wire_format {wire_format} leave the encoding out"
        )
    if contract.debezium != DebeziumHandling() and wire_format not in DEBEZIUM_WIRE_FORMATS:
        yield (
            f"table {name!r} says under debezium how a connector writes values, but its wire_format is {wire_format}; "
            f"remove it, or use one of {', '.join(DEBEZIUM_WIRE_FORMATS)}"
        )
    if contract.cursor is not None:
        data_type = contract.column(contract.cursor).data_type
        if data_type not in CURSOR_TYPES:
            yield (
                f"table {name!r} is ordered by {contract.cursor!r}, a {data_type}, whose values make no position; "
                f"use a column of one of {', '.join(CURSOR_TYPES)}"
            )


def shared_topics(tables: Mapping[str, TableContract]) -> Iterator[str]:
    """Find topics whose messages could be taken for what they are not.

    Args:
        tables: every contract by its name.

    Yields:
        A sentence for each topic that two tables have, or that has both changes and notifications.
    """
    owners: dict[str, str] = {}
    for contract in tables.values():
        other = owners.setdefault(contract.topic, contract.name)
        if other != contract.name:
            yield f"tables {other!r} and {contract.name!r} share the topic {contract.topic!r}"
    for contract in tables.values():
        owner = owners.get(contract.notification_topic or "")
        if owner is not None:
            yield (
                f"{contract.notification_topic!r} is the notification_topic of {contract.name!r} and the topic of "
                f"{owner!r}; changes and notifications need a topic each"
            )
