"""The raw row as most would make it first: with `json` of the standard library. It is the peer of our decoder."""

import json
from typing import Any, Final

from ingest.row import RAW_ROW_TYPE

_OPERATIONS: Final = {"c": "INSERT", "u": "UPDATE", "d": "DELETE", "r": "SNAPSHOT", "t": "TRUNCATE"}


def raw_row(data: bytes, ordering_key: str, event_id: str, publish_us: int, ingestion_us: int) -> bytes:
    """Return the raw row of a Debezium event or tombstone, serialised for the Storage Write API.

    Unlike our decoder it checks nothing, and what it lands of a row is not the text that came.

    Args:
        data: body of the message; empty for a tombstone.
        ordering_key: ordering key of the message.
        event_id: id of the message.
        publish_us: when it was published, in microseconds since 1970 UTC.
        ingestion_us: when the row is appended, likewise.
    """
    fields: dict[str, Any] = {"_op": "DELETE", "_op_inferred": True, "_key": ordering_key}
    fields |= {"_source_system": "loyalty", "_source_table": "unknown"}
    if data:
        event = json.loads(data)
        fields = _fields(event.get("payload", event), json.loads(ordering_key))
    row = RAW_ROW_TYPE.message_class(
        _event_id=event_id, _publish_ts=publish_us, _ingestion_ts=ingestion_us, _load_id="bench", **fields
    )
    serialised: bytes = row.SerializeToString()
    return serialised


def _fields(event: dict[str, Any], key: dict[str, Any]) -> dict[str, Any]:
    source, transaction = event["source"], event.get("transaction")
    return {
        "payload": _text(event["after"]),
        "before": _text(event["before"]),
        "_op": _OPERATIONS[event["op"]],
        "_op_inferred": False,
        "_key": _text(key),
        "_source_system": source["name"],
        "_source_table": f"{source['schema']}.{source['table']}",
        "_source_ts": source["ts_us"],
        "_source_position": f"{source['lsn']:020d}",
        "_source_sequence": transaction["total_order"] if transaction else 0,
    }


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))
