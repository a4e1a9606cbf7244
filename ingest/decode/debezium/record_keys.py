"""The key of a record, which Debezium Server sends as the message's ordering key."""

from collections.abc import Mapping

from core.errors import DecodeError
from ingest.decode.debezium.body import Body, read_json
from ingest.decode.debezium.images import RowImages
from ingest.decode.payload import read_row


def read_record_key(ordering_key: str, images: RowImages) -> Mapping[str, object]:
    """Read the key of a record that holds nothing else to make its row's key from.

    Args:
        ordering_key: the key as JSON, with or without its schema wrapper.
        images: rewrites values that need their schema to be understood.

    Returns:
        The key's columns.

    Raises:
        DecodeError: `missing_key` when it is no JSON object, or why a value cannot be rewritten.
    """
    body = _read(ordering_key)
    try:
        key = read_row(body.text)
    except DecodeError as error:
        raise _missing() from error
    return {**key, **images.rewritten(key, body.schema, marked=False)}


def _read(ordering_key: str) -> Body:
    try:
        body = read_json(ordering_key.encode())
    except (DecodeError, UnicodeEncodeError) as error:
        raise _missing() from error
    if body is None:
        raise _missing()
    return body


def _missing() -> DecodeError:
    return DecodeError("missing_key", "neither the row nor the ordering key holds the key")
