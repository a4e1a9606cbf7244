"""Recognising the dialect of a message by its shape, for tables of wire format `auto`.

Each dialect of changes is known by the names only its envelope has together:

| dialect | shape |
| --- | --- |
| `debezium` | `op` and `source`, alone or as the `payload` beside a `schema`; heartbeats, boundaries and tombstones |
| `datastream` | `read_method`, `source_metadata` and `payload` |
| `maxwell` | `database`, `table`, `type` and `ts`, with `data`, or with `def` or `old` or `sql` |
| `dms` | `metadata` with `record-type`; or `Op` holding I, U or D |
| `debezium_flat` | a row with `__op` or `__deleted`, alone or as the `payload` beside a `schema` |
| `plain` | a row with the table's key, and an operation, or a pattern that needs none |

A message is taken only when exactly one shape fits; `plain` is asked when no other does. So no rule's place in the
list decides anything, and what could be read in two ways is refused.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from core.contracts import TableContract
from core.errors import ContractError, DecodeError
from ingest.decode.change import read_image
from ingest.decode.plain import OPERATION_ATTRIBUTES, Markers
from ingest.message import Message
from ingest.row import RawRow

DEBEZIUM: Final = "debezium"
PLAIN: Final = "plain"

_Row = Mapping[str, object]
_INSTANTS: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_BOUNDARY: Final = _INSTANTS | {"status", "id", "event_count", "data_collections"}
_WRAPPER: Final = frozenset({"schema", "payload"})
_MAXWELL_CONTENT: Final = ("data", "old", "def", "sql")


def dialect(
    dialects: Mapping[str, Callable[[TableContract, str], Callable[[Message], RawRow | None]]],
) -> Callable[[TableContract, str], Callable[[Message], RawRow | None]]:
    """Return the dialect that recognises which of others a message is written in.

    Args:
        dialects: the others, by their wire format.

    Returns:
        A dialect. A table's decoders are made when the first message needs them, and kept. They raise `DecodeError`
        with the reason `unrecognised_dialect` for a message of no shape, or of several.
    """

    def decoder(contract: TableContract, load_id: str) -> Callable[[Message], RawRow | None]:
        if contract.encoding != "json":
            raise ContractError(f"{contract.name}: wire_format auto reads JSON only; name the dialect of its events")
        decoders = {DEBEZIUM: dialects[DEBEZIUM](contract, load_id)}

        def decode(message: Message) -> RawRow | None:
            name = recognise(message, contract)
            if name not in dialects:
                raise DecodeError("unrecognised_dialect", f"the message has the shape of {name}, which is not read")
            if name not in decoders:
                decoders[name] = dialects[name](contract, load_id)
            return decoders[name](message)

        return decode

    return decoder


def recognise(message: Message, contract: TableContract) -> str:
    """Return the dialect a message is written in.

    Args:
        message: a delivery, out of its CloudEvent if it came in one.
        contract: its table.

    Returns:
        The wire format.

    Raises:
        DecodeError: `unrecognised_dialect`, or why the body is no JSON object.
    """
    if not message.data or message.data == b"null":
        # Only these two have messages without a body; the one is a deletion, the other the echo of one.
        return PLAIN if _needs_no_envelope({}, message, contract) else DEBEZIUM
    image = read_image(Raw(message.data))
    row = image.row if image else {}
    fitting = [name for name, fits in SHAPES.items() if fits(row)]
    if not fitting and _is_plain(row, message, contract):
        return PLAIN
    if len(fitting) != 1:
        shapes = " and ".join(fitting) or "no dialect"
        raise DecodeError(
            "unrecognised_dialect", f"the message has the shape of {shapes}; name the table's wire_format"
        )
    return fitting[0]


def _inner(row: _Row) -> _Row:
    """Return the payload of a schema wrapper, or the row itself."""
    payload = row.get("payload")
    return payload if row.keys() == _WRAPPER and isinstance(payload, dict) else row


def _is_debezium(row: _Row) -> bool:
    if row.keys() == _WRAPPER and row["payload"] is None:
        return True
    event = _inner(row)
    names = event.keys()
    if event.get("status") in ("BEGIN", "END"):
        return "id" in names and names <= _BOUNDARY
    if "ts_ms" in names and names <= _INSTANTS:
        return True
    return isinstance(event.get("op"), str) and isinstance(event.get("source"), dict)


def _is_datastream(row: _Row) -> bool:
    return isinstance(row.get("read_method"), str) and isinstance(row.get("source_metadata"), dict) and "payload" in row


def _is_maxwell(row: _Row) -> bool:
    return (
        all(isinstance(row.get(name), str) for name in ("database", "type"))
        and isinstance(row.get("ts"), int)
        and any(name in row for name in _MAXWELL_CONTENT)
    )


def _is_dms(row: _Row) -> bool:
    metadata = row.get("metadata")
    is_record = isinstance(metadata, dict) and isinstance(metadata.get("record-type"), str)
    return is_record or row.get("Op") in ("I", "U", "D")


def _is_flat(row: _Row) -> bool:
    event = _inner(row)
    return "__op" in event or "__deleted" in event


def _is_plain(row: _Row, message: Message, contract: TableContract) -> bool:
    has_key = all(row.get(column.name) is not None for column in contract.key)
    return has_key and _needs_no_envelope(row, message, contract)


def _needs_no_envelope(row: _Row, message: Message, contract: TableContract) -> bool:
    """Return whether what happened to the row is stated without an envelope, or need not be."""
    markers = Markers.of(contract)
    return (
        contract.pattern != "event"
        or any(name in message.attributes for name in OPERATION_ATTRIBUTES)
        or any(name in row for name in (*markers.operation, *markers.deleted))
    )


SHAPES: Final[Mapping[str, Callable[[_Row], bool]]] = {
    DEBEZIUM: _is_debezium,
    "datastream": _is_datastream,
    "maxwell": _is_maxwell,
    "dms": _is_dms,
    "debezium_flat": _is_flat,
}
"""How each dialect but `plain` is known; the order means nothing."""
