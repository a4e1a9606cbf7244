"""Parsing the usual Debezium event of one table, by a parser that knows what its sources are called.

The names of the connector, its database and its schema are the same in every event of a table. A parser that knows
them compares instead of making new text, and refuses what has another name; it is made anew for every name it meets.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import FieldInfo, fields

from core.contracts import TableContract
from ingest.decode.debezium.envelope import Source, Transaction
from ingest.decode.debezium.event import check_table
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.positions import source_timestamp
from ingest.decode.joined import JoinedParser, joined_parser
from ingest.decode.payload import MAX_TIMESTAMP, MIN_TIMESTAMP
from ingest.decode.shapes import UNREADABLE

MAX_NAMES: Final = 64
"""Names of one kind a parser is made for; of shards by the thousand only so many are parsed the quick way."""

_NAMES: Final = ("name", "connector", "db", "schema")
_ORDER: Final = {
    name: place
    for place, name in enumerate(
        ("connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns", "schema", "table", "lsn")
    )
}
"""In which Debezium writes the source block: the order in which it is the quickest to parse."""

_Instant = Annotated[int, Meta(ge=MIN_TIMESTAMP, le=MAX_TIMESTAMP)]


class UsualEvent(msgspec.Struct, gc=False, kw_only=True, rename={"update_description": "updateDescription"}):
    """A change of a row, in Debezium's order, which is the quickest to parse.

    What makes an event anything else, such as MongoDB's, or the wrapper of one, must not be there.
    """

    before: Raw
    after: Raw
    source: Source
    transaction: Transaction | None = None
    op: Literal["c", "u", "d", "r"]
    payload: UnsetType = UNSET
    status: UnsetType = UNSET
    update_description: UnsetType = UNSET
    patch: UnsetType = UNSET
    filter: UnsetType = UNSET


class UsualEvents:
    """Parses the usual events of a table.

    Attributes:
        known: parses an event whose names are known by now, the quickest way; it raises one of `UNREADABLE` for any
            other, which is for `read` then.
        known_joined: parses many of them by one call, joined by `ingest.decode.joined`; it raises likewise.
        known_wrapped_joined: parses likewise many that stand within their schema wrapper; its values are for `unwrap`.
    """

    def __init__(self, contract: TableContract, images: RowImages) -> None:
        """Prepare to parse.

        Args:
            contract: the table that the events must be of.
            images: knows which schemas say nothing that must be known.
        """
        self._contract = contract
        self._images = images
        self._plain_schema = Raw()
        self._names: dict[str, set[str]] = {kind: set() for kind in _NAMES}
        self._table = ""
        self._any_plain, self._any_wrapped, *_ = _parsers(UsualEvent)
        self.known: Callable[[bytes], UsualEvent] = _nothing
        self._known_wrapped = _nothing
        self.known_joined: JoinedParser = _nothing
        self.known_wrapped_joined: JoinedParser = _nothing

    def read(self, data: bytes) -> UsualEvent:
        """Parse an event that `known` could not.

        Args:
            data: the message's body.

        Returns:
            The event, of this table, whose `source.ts_us`, if any, is an instant that BigQuery can hold. It may be of
            another class than it says, with the same attributes.

        Raises:
            DecodeError: when it is of another table, or its instant is out of range.
            LookupError: when its names are too many.
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: when it is not the usual event.
        """
        return self._learn(self._any_plain(data))

    def read_wrapped(self, data: bytes) -> UsualEvent:
        """Parse an event within its schema wrapper.

        Args:
            data: the message's body.

        Returns:
            The event, as `read`.

        Raises:
            DecodeError: as `read`, or when its schema cannot be read.
            LookupError: as `read`, or when its values need their schema to be understood.
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: when it is not the usual event.
        """
        try:
            wrapped = self._known_wrapped(data)
        except UNREADABLE:
            wrapped = self._any_wrapped(data)
            self._learn(wrapped.payload)
        if wrapped.schema != self._plain_schema:
            self._learn_schema(wrapped.schema)
        return wrapped.payload  # type: ignore[no-any-return]  # msgspec makes the class at run time

    def unwrap(self, values: Sequence[Any]) -> list[Any]:
        """Take events out of their wrappers.

        Args:
            values: what `known_wrapped_joined` parsed; numbers stay as they are.

        Returns:
            An event for each, or a number for one whose schema must be looked at first, which `read_wrapped` does.
        """
        plain = self._plain_schema
        return [value if value.__class__ is int else value.payload if value.schema == plain else 0 for value in values]

    def _learn_schema(self, schema: Raw) -> None:
        if not self._images.schema_is_plain(bytes(schema)):
            raise LookupError
        self._plain_schema = schema.copy()

    def _learn(self, event: UsualEvent) -> UsualEvent:
        """Check what only the parser for known names checks, and make one that knows this event's names too."""
        source = event.source
        table = check_table(source, self._contract)
        source_timestamp(source)
        if table != (self._table or table) or source.table is None:
            raise LookupError
        self._table = table
        spoken = {kind: name for kind in _NAMES if (name := getattr(source, kind)) is not None}
        new = {kind: name for kind, name in spoken.items() if name not in self._names[kind]}
        if not new or any(len(self._names[kind]) >= MAX_NAMES for kind in new):
            raise LookupError
        for kind, name in new.items():
            self._names[kind].add(name)
        known_fields = sorted(self._known_fields(), key=lambda field: _ORDER.get(field[0], len(_ORDER)))
        known_source = msgspec.defstruct("KnownSource", known_fields, gc=False, kw_only=True)
        known_event = [
            ("source", known_source) if field.name == "source" else _declared(field) for field in fields(UsualEvent)
        ]
        parsed = msgspec.defstruct(
            "KnownEvent",
            known_event,
            gc=False,
            kw_only=True,
            rename={field.name: field.encode_name for field in fields(UsualEvent)},
        )
        self.known, self._known_wrapped, self.known_joined, self.known_wrapped_joined = _parsers(parsed)
        return event

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


def _parsers(event: type) -> tuple[Any, Any, JoinedParser, JoinedParser]:
    """Return what parses an event as it stands, and within its schema wrapper; and what parses many of either."""
    wrapped = msgspec.defstruct("Wrapped", [("schema", Raw), ("payload", event)], gc=False, forbid_unknown_fields=True)
    decoder = msgspec.json.Decoder
    return decoder(event).decode, decoder(wrapped).decode, joined_parser(event), joined_parser(wrapped)
