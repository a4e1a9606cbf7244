"""The envelope of a Debezium change event, and the reading of it.

Described, field by field, under "Data change events" of each connector's documentation, such as
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from core.errors import DecodeError
from ingest.decode.payload import explain
from ingest.keys import INT64_MAX

OPERATIONS: Final[Mapping[str, str]] = {
    "c": "INSERT",
    "u": "UPDATE",
    "d": "DELETE",
    "r": "SNAPSHOT",
    "t": "TRUNCATE",
}
"""What `op` says of a row, by its letter."""

NULL: Final = b"null"

Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]
_Ordinal = Annotated[int, Meta(ge=0, le=9_999_999_999)]


class Source(msgspec.Struct, gc=False):
    """Where a change comes from: the `source` block.

    Beside what all connectors write stand the fields that `positions` reads, each of one connector or a few.
    """

    name: str
    table: str | None = None
    collection: str | None = None
    schema: str | None = None
    db: str | None = None
    connector: str = "postgresql"
    snapshot: str | bool | None = None
    ts_us: int | None = None
    ts_ns: int | None = None
    ts_ms: int | None = None
    lsn: Count | None = None
    file: str | None = None
    pos: Count | None = None
    row: _Ordinal | None = None
    commit_lsn: str | None = None
    change_lsn: str | None = None
    event_serial_no: _Ordinal | None = None
    scn: str | int | None = None
    commit_scn: str | int | None = None
    rs_id: str | None = None
    ssn: _Ordinal | None = None
    txSeq: _Ordinal | None = None  # noqa: N815 - the event's own name
    lcr_position: str | None = None
    ord: Annotated[int, Meta(ge=-1, le=9_999_999_999)] | None = None


class Transaction(msgspec.Struct, gc=False):
    """The place of a change within its transaction: the `transaction` block."""

    total_order: Count = 0


class UpdateDescription(msgspec.Struct, gc=False, rename="camel"):
    """What MongoDB's change stream says of an update: `updateDescription`.

    Attributes:
        updated_fields: the new values by dotted path, as Extended JSON text.
        removed_fields: dotted paths.
        truncated_arrays: arrays that lost elements at their end.
    """

    updated_fields: str | None = None
    removed_fields: list[str] | None = None
    truncated_arrays: list[dict[str, object]] | None = None


class Envelope(msgspec.Struct, gc=False, rename={"update_description": "updateDescription"}):
    """A change event; the row images stay the text they came as.

    `update_description`, `patch` and `filter` are MongoDB's.
    """

    op: str | None = None
    before: Raw | UnsetType = UNSET
    after: Raw | UnsetType = UNSET
    source: Source | None = None
    transaction: Transaction | None = None
    status: str | None = None
    update_description: UpdateDescription | None = None
    patch: str | None = None
    filter: str | None = None


_decoder = msgspec.json.Decoder(Envelope)


def read_envelope(text: bytes) -> Envelope:
    """Read an event that has left its schema wrapper.

    Args:
        text: the event.

    Returns:
        The envelope.

    Raises:
        DecodeError: when the text is no JSON, or none of Debezium's.
    """
    try:
        return _decoder.decode(text)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain_envelope(error, text) from error


def explain_envelope(error: Exception, data: bytes) -> DecodeError:
    """Turn the complaint of an envelope's parser into a reason code.

    Args:
        error: what the parser raised.
        data: what it was reading.

    Returns:
        The error to raise.
    """
    if isinstance(error, msgspec.ValidationError) and "out of range" not in str(error):
        return DecodeError("invalid_envelope", f"not a Debezium event: {error}")
    return explain(error, data)


def table_name(schema: str | None, table: str) -> str:
    """Return a table's name with its schema, for `_source_table`."""
    return f"{schema}.{table}" if schema else table
