"""The key of a record, which Debezium Server sends as the message's ordering key."""

from collections.abc import Mapping
from typing import Final

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.debezium.body import Body, read_json
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.mongodb import ID, Documents
from ingest.decode.payload import read_row

_MONGODB_KEY: Final = "id"
"""The one field of the MongoDB connector's keys."""


class RecordKeys:
    """Reads the keys of one table's records."""

    def __init__(self, contract: TableContract, images: RowImages, documents: Documents) -> None:
        """Prepare to read.

        Args:
            contract: the table.
            images: rewrites values that need their schema to be understood.
            documents: reads the keys of MongoDB's documents.
        """
        self._images = images
        self._documents = documents
        self._is_document = [column.name for column in contract.key] == [ID]

    def read(self, ordering_key: str) -> Mapping[str, object]:
        """Read the key of a record that holds nothing else to make its row's key from.

        Args:
            ordering_key: the key as JSON, with or without its schema wrapper.

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
        identity = key.get(_MONGODB_KEY)
        if self._is_document and ID not in key and isinstance(identity, str):
            return self._documents.read_key(identity)
        return {**key, **self._images.rewritten(key, body.schema, marked=False)}


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
