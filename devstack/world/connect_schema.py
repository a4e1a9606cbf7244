"""The Kafka Connect schema that the JSON converter puts beside a payload (`schemas.enable=true`)."""

from collections.abc import Mapping, Sequence
from typing import Any


def envelope_schema(prefix: str, row: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the Kafka Connect schema of a change event.

    Args:
        prefix: `<logical name>.<schema>.<table>`.
        row: the schemas of the row's fields, in order.

    Returns:
        The schema, as the JSON converter writes it.
    """
    image = {"type": "struct", "fields": list(row), "optional": True, "name": f"{prefix}.Value"}
    transaction = {
        "type": "struct",
        "fields": [
            _plain("string", "id"),
            _plain("int64", "total_order"),
            _plain("int64", "data_collection_order"),
        ],
        "optional": True,
        "name": "event.block",
        "version": 1,
        "field": "transaction",
    }
    times = [_plain("int64", name, optional=True) for name in ("ts_ms", "ts_us", "ts_ns")]
    return {
        "type": "struct",
        "fields": [
            image | {"field": "before"},
            image | {"field": "after"},
            _source_schema(),
            transaction,
            _plain("string", "op"),
            *times,
        ],
        "optional": False,
        "name": f"{prefix}.Envelope",
        "version": 2,
    }


def _source_schema() -> dict[str, Any]:
    fields = [
        _plain("string", "version"),
        _plain("string", "connector"),
        _plain("string", "name"),
        _plain("int64", "ts_ms"),
        _plain("string", "snapshot", optional=True)
        | {
            "name": "io.debezium.data.Enum",
            "version": 1,
            "parameters": {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false"},
            "default": "false",
        },
        _plain("string", "db"),
        _plain("string", "sequence", optional=True),
        _plain("int64", "ts_us", optional=True),
        _plain("int64", "ts_ns", optional=True),
        _plain("string", "schema"),
        _plain("string", "table"),
        _plain("int64", "txId", optional=True),
        _plain("int64", "lsn", optional=True),
        _plain("int64", "xmin", optional=True),
    ]
    name = "io.debezium.connector.postgresql.Source"
    return {"type": "struct", "fields": fields, "optional": False, "name": name, "version": 1, "field": "source"}


def _plain(connect_type: str, name: str, *, optional: bool = False) -> dict[str, Any]:
    return {"type": connect_type, "optional": optional, "field": name}
