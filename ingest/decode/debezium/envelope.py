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


class Source(msgspec.Struct, gc=False):
    """Where a change comes from: the `source` block."""

    name: str
    table: str
    schema: str | None = None
    db: str | None = None
    connector: str = "postgresql"
    lsn: Annotated[int, Meta(ge=0)] | None = None
    ts_us: int | None = None
    ts_ns: int | None = None
    ts_ms: int | None = None


class Transaction(msgspec.Struct, gc=False):
    """The place of a change within its transaction: the `transaction` block."""

    total_order: Count = 0


class Envelope(msgspec.Struct, gc=False):
    """A change event, with or without its schema wrapper; the row images stay the text they came as."""

    payload: Raw | UnsetType = UNSET
    op: str | None = None
    before: Raw | UnsetType = UNSET
    after: Raw | UnsetType = UNSET
    source: Source | None = None
    transaction: Transaction | None = None
    status: str | None = None


_decoder = msgspec.json.Decoder(Envelope)


def read_envelope(data: bytes) -> tuple[Envelope, bytes] | None:
    """Read an event, out of its schema wrapper when it has one.

    Args:
        data: the message's body.

    Returns:
        The envelope and the text it was read from; None for a tombstone.

    Raises:
        DecodeError: when the body is no JSON, or none of Debezium's.
    """
    if not data or data == NULL:
        return None
    try:
        envelope = _decoder.decode(data)
        if envelope.payload is UNSET:
            return envelope, data
        inner = bytes(envelope.payload)
        return None if inner == NULL else (_decoder.decode(inner), inner)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain_envelope(error, data) from error


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
