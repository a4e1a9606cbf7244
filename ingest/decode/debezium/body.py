"""What a message holds: the event as JSON text, and the schema that came with it."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ingest.decode.connect import Schema, read_schema
from ingest.decode.debezium.envelope import NULL, explain_envelope


class Body(NamedTuple):
    """An event.

    Attributes:
        text: the event as JSON, out of its schema wrapper.
        schema: its schema; None when the message carries none.
    """

    text: bytes
    schema: Schema | None


ReadBody = Callable[[bytes], Body | None]
"""From a message's data to what it holds; None for the null of a tombstone."""


class _Wrapper(msgspec.Struct, gc=False):
    schema: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Wrapper)


def read_json(data: bytes) -> Body | None:
    """Read what the JSON converter wrote, with or without `schemas.enable`.

    Args:
        data: a message's data.

    Returns:
        The event; None for a tombstone.

    Raises:
        DecodeError: when the data is no JSON object, or its schema none of Kafka Connect's.
    """
    if not data or data == NULL:
        return None
    try:
        wrapper = _decoder.decode(data)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain_envelope(error, data) from error
    if wrapper.schema is UNSET or wrapper.payload is UNSET:
        return Body(data, None)
    text = bytes(wrapper.payload)
    return None if text == NULL else Body(text, read_schema(bytes(wrapper.schema)))
