"""Messages that share the stream with the changes and are none.

- heartbeats (https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-property-heartbeat-interval-ms),
- the boundaries of transactions (https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-transaction-metadata),
- changes of the schema (https://debezium.io/documentation/reference/stable/connectors/mysql.html#mysql-schema-change-topic),
- messages that the application wrote into the log
  (https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-message-events).
"""

from typing import Final

from ingest.decode.debezium.envelope import Envelope
from ingest.decode.payload import read_row

_LOGICAL_MESSAGE: Final = "m"
_INSTANTS: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_HEARTBEAT: Final = _INSTANTS
_BOUNDARY: Final = _INSTANTS | {"status", "id", "event_count", "data_collections"}
_SCHEMA_CHANGE: Final = _INSTANTS | {"source", "databaseName", "schemaName", "ddl", "tableChanges", "position"}


def is_control(envelope: Envelope, text: bytes) -> bool:
    """Tell whether an event is no change of a row.

    Args:
        envelope: the event.
        text: what it was read from.

    Returns:
        True for heartbeats, transaction boundaries, changes of the schema and messages of the application.

    Raises:
        DecodeError: when the text is no JSON.
    """
    if envelope.op is not None:
        return envelope.op == _LOGICAL_MESSAGE
    return holds_only_control(text)


def holds_only_control(text: bytes) -> bool:
    """Tell whether a message without an operation is a control message.

    Dropping is final, so it must hold nothing else: a flattened row may well have a column `ts_ms`.

    Args:
        text: the message, out of its schema wrapper.

    Raises:
        DecodeError: when the text is no JSON.
    """
    row = read_row(text)
    names = row.keys()
    if row.get("status") in ("BEGIN", "END"):
        return "id" in names and names <= _BOUNDARY
    if "databaseName" in names:
        return "tableChanges" in names and names <= _SCHEMA_CHANGE
    return "ts_ms" in names and names <= _HEARTBEAT
