"""Parsing the usual Debezium event of one table, by a parser that knows what its sources are called.

The names of the connector, its database and its schema are the same in every event of a table. A parser that knows
them compares instead of making new text, and refuses what has another name; it is made anew for every name it meets.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, UnsetType
from msgspec.structs import FieldInfo, fields

from ingest.decode.debezium.envelope import Source, Transaction
from ingest.decode.debezium.positions import source_timestamp
from ingest.decode.payload import MAX_TIMESTAMP, MIN_TIMESTAMP
from ingest.decode.shapes import UNREADABLE

MAX_NAMES: Final = 64
"""Names of one kind a parser is made for; shards by the thousand are parsed as plain text."""

_WRAPPER: Final = b'{"schema"'
_NAMES: Final = ("name", "connector", "db", "schema")
_ORDER: Final = {
    name: place
    for place, name in enumerate(
        ("connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns", "schema", "table", "lsn")
    )
}
"""In which Debezium writes the source block: the order in which it is the quickest to parse."""

_Instant = Annotated[int, Meta(ge=MIN_TIMESTAMP, le=MAX_TIMESTAMP)]

Operation = Literal["c", "u", "d", "r"]


class UsualEvent(msgspec.Struct, gc=False, kw_only=True):
    """A change of a row, in Debezium's order, which is the quickest to parse.

    What makes an event anything else must not be there: `payload` is the schema wrapper's.
    """

    before: Raw
    after: Raw
    source: Source
    transaction: Transaction | None = None
    op: Operation
    payload: UnsetType = msgspec.UNSET
    status: UnsetType = msgspec.UNSET


class UsualEvents:
    """Parses the usual events of a table."""

    def __init__(self, table: str) -> None:
        """Prepare to parse.

        Args:
            table: name of the table that the events must be of.
        """
        self._table = table
        self._names: dict[str, set[str]] = {kind: set() for kind in _NAMES}
        self._any_plain, self._any_wrapped = _parsers(UsualEvent)
        self._plain = self._wrapped = _nothing

    def read(self, data: bytes) -> UsualEvent:
        """Parse an event.

        Args:
            data: the message's body.

        Returns:
            The event, of this table, whose `source.ts_us`, if any, is an instant that BigQuery can hold. It may be of
            another class than it says, with the same attributes.

        Raises:
            DecodeError: when the source's instant is out of range.
            LookupError: when it is an event of another table.
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: when it is not the usual event.
        """
        is_wrapped = data.startswith(_WRAPPER)
        try:
            event: UsualEvent = self._wrapped(data).payload if is_wrapped else self._plain(data)
        except UNREADABLE:
            event = self._any_wrapped(data).payload if is_wrapped else self._any_plain(data)
            self._learn(event.source)
        return event

    def _learn(self, source: Source) -> None:
        if source.table != self._table:
            raise LookupError
        source_timestamp(source)
        spoken = {kind: name for kind in _NAMES if (name := getattr(source, kind)) is not None}
        if all(name in self._names[kind] for kind, name in spoken.items()):
            return
        for kind, name in spoken.items():
            self._names[kind].add(name)
        if any(len(names) > MAX_NAMES for names in self._names.values()):
            return
        known_fields = sorted(self._known_fields(), key=lambda field: _ORDER.get(field[0], len(_ORDER)))
        source_type = msgspec.defstruct("KnownSource", known_fields, gc=False, kw_only=True)
        known = [
            ("source", source_type) if field.name == "source" else _declared(field) for field in fields(UsualEvent)
        ]
        self._plain, self._wrapped = _parsers(msgspec.defstruct("KnownEvent", known, gc=False, kw_only=True))

    def _known_fields(self) -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
        for field in fields(Source):
            if field.name == "table":
                yield field.name, Literal[self._table]
            elif names := self._names.get(field.name):
                known: Any = Literal[tuple(sorted(names))]
                yield (field.name, known) if field.required else (field.name, known | None, field.default)
            elif field.name == "ts_us":
                yield field.name, _Instant | None, None
            else:
                yield _declared(field)


def _nothing(_: bytes) -> Any:
    raise msgspec.ValidationError


def _declared(field: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    return (field.name, field.type) if field.required else (field.name, field.type, field.default)


def _parsers(event: type) -> tuple[Any, Any]:
    """Return what parses an event as it stands, and what parses it within its schema wrapper."""
    wrapped = msgspec.defstruct("Wrapped", [("schema", Raw), ("payload", event)], gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(event).decode, msgspec.json.Decoder(wrapped).decode
