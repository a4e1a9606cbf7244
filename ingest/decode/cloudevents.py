"""CloudEvents around a change event of any dialect.

Specifications: CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md), its JSON format
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md) and its bindings to Pub/Sub
(https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md) and Kafka
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md). Debezium's converter
(https://debezium.io/documentation/reference/stable/integrations/cloudevents.html) puts the envelope into extensions;
it is put together again.

The CloudEvent's attributes stay with the message as `ce-…` attributes. Its `id` is one of them and nothing more: the
unit of deduplication stays the message's id, which every transport guarantees and no producer can repeat.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from core.errors import DecodeError
from ingest.decode.instants import read_instant
from ingest.decode.payload import explain
from ingest.message import Message
from ingest.row import RawRow

PREFIX: Final = "ce-"
"""How the binary mode names a message attribute that holds one of the event."""

KAFKA_PREFIX: Final = "ce_"
"""How Kafka's binding names the header; both are read, whatever brought the message."""

VERSION_ATTRIBUTES: Final = (f"{PREFIX}specversion", f"{KAFKA_PREFIX}specversion")
"""What a message in binary mode has one of."""

_MEDIA_TYPE: Final = "application/cloudevents"
_JSON_FORMAT: Final = "application/cloudevents+json"
_BATCH_FORMAT: Final = "application/cloudevents-batch"
_CONTENT_TYPES: Final = ("content-type", "Content-Type")
_VERSION: Final = "1.0"
_REQUIRED: Final = ("id", "source", "type")
_DATA: Final = frozenset({"data", "data_base64"})
_HINT: Final = b'"specversion"'
_TRACE: Final = "traceparent"

_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_DEBEZIUM: Final = "iodebezium"
_DEBEZIUM_SOURCE: Final[Mapping[str, tuple[str, bool]]] = {
    _DEBEZIUM + name.replace("_", ""): (name, is_number)
    for name, is_number in (
        ("connector", False), ("name", False), ("db", False), ("schema", False), ("table", False),
        ("snapshot", False), ("file", False), ("change_lsn", False), ("commit_lsn", False), ("gtid", False),
        ("scn", False), ("commit_scn", False), ("rs_id", False), ("sequence", False), ("collection", False),
        ("ts_ms", True), ("ts_us", True), ("ts_ns", True), ("lsn", True), ("pos", True), ("row", True),
        ("server_id", True), ("event_serial_no", True), ("ord", True), ("ssn", True),
    )
}  # fmt: skip
"""The fields of Debezium's source block by their extension's name, and whether they are numbers."""

_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_text_decoder = msgspec.json.Decoder(str)

Decode = Callable[[Message], RawRow | None]


def accepting(decode: Decode) -> Decode:
    """Return a decoder that also takes its messages as CloudEvents.

    Args:
        decode: decodes the message that the CloudEvent carries.

    Returns:
        The decoder. It raises `DecodeError`: `invalid_cloudevent`, `unsupported_cloudevent`, `batch_of_rows`, or
        what `decode` raises.
    """

    def decode_unwrapped(message: Message) -> RawRow | None:
        return decode(unwrap(message))

    return decode_unwrapped


def unwrap(message: Message) -> Message:
    """Return the message that a CloudEvent carries; any other message as it is.

    Args:
        message: a delivery. It is a CloudEvent in structured mode by its `content-type`, or when its body is a JSON
            object with all required attributes; in binary mode by its attribute `ce-specversion`, or `ce_specversion`.

    Returns:
        The message with the event's data as its body and the event's attributes among its own.

    Raises:
        DecodeError: `invalid_cloudevent`, `unsupported_cloudevent` or `batch_of_rows`.
    """
    attributes = message.attributes
    media_type = _media_type(attributes) if attributes else ""
    if media_type.startswith(_BATCH_FORMAT):
        raise DecodeError("batch_of_rows", "a batch of CloudEvents; publish one event a message")
    if media_type.startswith(_MEDIA_TYPE) and media_type != _JSON_FORMAT:
        raise DecodeError("unsupported_cloudevent", "only the JSON format of structured CloudEvents can be read")
    if media_type == _JSON_FORMAT:
        return _structured(message, _fields(message.data))
    if attributes:
        for name, prefix in zip(VERSION_ATTRIBUTES, (PREFIX, KAFKA_PREFIX), strict=True):
            if name in attributes:
                return _binary(message, prefix)
    if _HINT in message.data:
        fields = _fields_if_any(message.data)
        if all(_is_text(fields.get(name)) for name in ("specversion", *_REQUIRED)):
            return _structured(message, fields)
    return message


def _media_type(attributes: Mapping[str, str]) -> str:
    for name in _CONTENT_TYPES:
        if name in attributes:
            return attributes[name].partition(";")[0].strip().lower()
    return ""


def _fields(data: bytes) -> dict[str, Raw]:
    try:
        return _fields_decoder.decode(data)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise DecodeError("invalid_cloudevent", "a structured CloudEvent is a JSON object") from error
        raise explain(error, data) from error


def _fields_if_any(data: bytes) -> dict[str, Raw]:
    try:
        return _fields(data)
    except DecodeError:
        # What it is instead is for the dialect to say.
        return {}


def _is_text(value: Raw | None) -> bool:
    return value is not None and bytes(value)[:1] == b'"'


def _binary(message: Message, prefix: str) -> Message:
    attributes = message.attributes
    context = {name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)}
    _check(context)
    return _carried(message, context, message.data)


def _structured(message: Message, fields: Mapping[str, Raw]) -> Message:
    context = {name: _text(value) for name, value in fields.items() if name not in _DATA and bytes(value) != b"null"}
    _check(context)
    data = _data(fields)
    if _DEBEZIUM + "op" in context:
        data = _debezium(context, data)
    return _carried(message, context, data)


def _carried(message: Message, context: Mapping[str, str], data: bytes) -> Message:
    """Return what a CloudEvent carries, with the event's attributes beside the message's own."""
    attributes = dict(message.attributes) | {PREFIX + name: value for name, value in context.items()}
    if _TRACE in context:
        attributes.setdefault(_TRACE, context[_TRACE])
    return msgspec.structs.replace(
        message,
        data=data,
        attributes=attributes,
        ordering_key=message.ordering_key or context.get("partitionkey", ""),
    )


def _text(value: Raw) -> str:
    """Return an attribute's canonical string: of a string its text, of a number or boolean its JSON."""
    text = bytes(value)
    try:
        return _text_decoder.decode(text) if text[:1] == b'"' else text.decode()
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise explain(error, text) from error


def _check(context: Mapping[str, str]) -> None:
    version = context.get("specversion")
    if version != _VERSION:
        raise DecodeError("unsupported_cloudevent", f"only CloudEvents {_VERSION} can be read")
    missing = [name for name in _REQUIRED if not context.get(name)]
    if missing:
        raise DecodeError("invalid_cloudevent", f"the CloudEvent lacks {', '.join(missing)}")
    if "time" in context:
        read_instant(context["time"])


def _data(fields: Mapping[str, Raw]) -> bytes:
    data, encoded = fields.get("data"), fields.get("data_base64")
    if data is not None and encoded is not None:
        raise DecodeError("invalid_cloudevent", "the CloudEvent has both data and data_base64")
    if encoded is not None:
        try:
            return base64.b64decode(_text(encoded), validate=True)
        except (binascii.Error, ValueError) as error:
            raise DecodeError("invalid_cloudevent", "data_base64 is not base64") from error
    return bytes(data) if data is not None else b""


def _debezium(context: Mapping[str, str], data: bytes) -> bytes:
    """Put a Debezium envelope together again: its row images are the data, all else became extensions."""
    wrapper = _fields(data)
    is_wrapped = "payload" in wrapper and "schema" in wrapper
    images = _fields(bytes(wrapper["payload"])) if is_wrapped else wrapper
    source: dict[str, object] = {}
    for extension, (name, is_number) in _DEBEZIUM_SOURCE.items():
        if extension in context:
            source[name] = _number(context[extension]) if is_number else context[extension]
    envelope: dict[str, object] = {"op": context[_DEBEZIUM + "op"], "source": source}
    envelope |= {name: images[name] for name in ("before", "after") if name in images}
    order = context.get(_DEBEZIUM + "txtotalorder")
    if order is not None:
        envelope["transaction"] = {"id": context.get(_DEBEZIUM + "txid", ""), "total_order": _number(order)}
    return msgspec.json.encode({"schema": wrapper["schema"], "payload": envelope} if is_wrapped else envelope)


def _number(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text
