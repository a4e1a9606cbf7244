"""Documents of Debezium's MongoDB connector, which writes them as Extended JSON within the event.

https://debezium.io/documentation/reference/stable/connectors/mongodb.html#mongodb-events. An update carries the whole
document in `after` when `capture.mode` asks for it (`change_streams_update_full`, the default). Otherwise, and when
the document was gone before it could be looked up, it says only what changed: `updateDescription` of a change stream,
or `patch` and `filter` of the oplog, which connectors before 2.0 read. Of such an update is landed what it tells, the
marker of an unavailable value for every other column of the contract, and the description itself as the field
`__update_description`, by which it is known.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from core.contracts import TableContract
from core.debezium import UNAVAILABLE_VALUE
from core.errors import DecodeError
from ingest.decode.change import Image
from ingest.decode.debezium.bson_values import fit, read_extended_json, settle
from ingest.decode.debezium.envelope import NULL, Envelope, UpdateDescription
from ingest.decode.payload import explain

CONNECTOR: Final = "mongodb"
DESCRIPTION: Final = "__update_description"
"""The field that holds what an update without its document said."""

ID: Final = "_id"

_text_decoder = msgspec.json.Decoder(str)


class _Update(NamedTuple):
    """What changed, by dotted path."""

    updated: Mapping[str, object]
    removed: Iterable[str]
    described: Mapping[str, object]


class Documents:
    """Reads the documents of one collection."""

    def __init__(self, contract: TableContract) -> None:
        """Prepare to read.

        Args:
            contract: the collection's table.
        """
        self._columns = {column.name: column for column in contract.columns}

    def read(self, raw: Raw | UnsetType) -> Image | None:
        """Read a document.

        Args:
            raw: a JSON string that holds it, null, or nothing.

        Returns:
            The document as a row; None when there is none.

        Raises:
            DecodeError: `invalid_extended_json`, or why it is no JSON.
        """
        if raw is UNSET or bytes(raw) == NULL:
            return None
        try:
            text = _text_decoder.decode(raw)
        except UnicodeDecodeError as error:
            # The event was read without looking into its texts.
            raise explain(error, bytes(raw)) from error
        except msgspec.MsgspecError as error:
            raise DecodeError("invalid_extended_json", "a document of MongoDB must be JSON within a string") from error
        return self._image(_document(text))

    def read_partial(self, envelope: Envelope, key: Mapping[str, object]) -> Image | None:
        """Make a row of an update without its document.

        Args:
            envelope: the event.
            key: the record's key, when it has one.

        Returns:
            The row; None when the event does not say what changed.

        Raises:
            DecodeError: as `read`; `missing_key` when nothing holds the document's `_id`.
        """
        if envelope.patch is not None:
            patch = _document(envelope.patch)
            if not any(name.startswith("$") for name in patch):
                return self._image(patch)
            update = _from_patch(patch)
        elif envelope.update_description is not None:
            update = _from_change_stream(envelope.update_description)
        else:
            return None
        identity = _document(envelope.filter) if envelope.filter is not None else key
        if identity.get(ID) is None:
            raise DecodeError("missing_key", "neither the update nor the record's key holds the document's _id")
        known = {path: value for path, value in update.updated.items() if "." not in path}
        removed = {path: None for path in update.removed if "." not in path}
        document = {**dict.fromkeys(self._columns, UNAVAILABLE_VALUE), **known, **removed, ID: identity[ID]}
        return self._image({**document, DESCRIPTION: update.described})

    def read_key(self, identity: str) -> Mapping[str, object]:
        """Read the key of a record.

        Args:
            identity: the document's `_id` as Extended JSON, the one field of the connector's keys.

        Returns:
            The key's column.
        """
        try:
            value = read_extended_json(identity)
        except DecodeError:
            # A string that stands there without its quotes.
            value = identity
        return {ID: fit(value, self._columns.get(ID))}

    def _image(self, document: Mapping[str, object]) -> Image:
        row = {name: fit(value, self._columns.get(name)) for name, value in document.items()}
        return Image(msgspec.json.encode(row), row)


def _document(text: str) -> dict[str, object]:
    document = read_extended_json(text)
    if not isinstance(document, dict):
        raise DecodeError("invalid_extended_json", "a document of MongoDB must be a JSON object")
    return document


def _from_change_stream(description: UpdateDescription) -> _Update:
    updated = _document(description.updated_fields) if description.updated_fields else {}
    removed = description.removed_fields or []
    # What lost elements keeps the others: its value is not known, like that of a document of which a part changed.
    truncated = description.truncated_arrays or []
    described = {"updatedFields": settle(updated), "removedFields": removed, "truncatedArrays": truncated}
    return _Update(updated, removed, described)


def _from_patch(patch: Mapping[str, object]) -> _Update:
    """Read an oplog entry's update, of its first form or its second.

    The second is described at https://github.com/mongodb/mongo/blob/master/src/mongo/db/update/document_diff_serialization.h:
    `u` and `i` hold fields, `d` the names of removed ones, `s` followed by a name what changed within.
    """
    diff = patch.get("diff")
    if isinstance(diff, dict):
        updated = {**_object(diff.get("u")), **_object(diff.get("i"))}
        removed = list(_object(diff.get("d")))
    else:
        updated, removed = _object(patch.get("$set")), list(_object(patch.get("$unset")))
    return _Update(updated, removed, {name: settle(value) for name, value in patch.items()})


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
