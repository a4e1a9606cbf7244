"""The responses of StreamingPull, as a type of which nothing is read that is not used.

On the wire a nested message is its length and its bytes, as a `bytes` field is
(https://protobuf.dev/programming-guides/encoding/#submessages). Declared as such, the publication instant and the
attributes of a message are not made objects of the Python layer one by one, which took a third of reading it. Fields
that are not declared, such as the confirmation of an exactly-once acknowledgement, are skipped.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.timestamp_pb2 import Timestamp
from google.pubsub_v1 import types as pubsub_types

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "millrace.pull"
_ENTRY: Final = "Entry"


def _as_bytes(described: descriptor_pb2.DescriptorProto, names: frozenset[str]) -> None:
    """Declare fields of a message as the bytes that they are on the wire."""
    for field in described.field:
        if field.name in names:
            field.type = _Field.TYPE_BYTES
            field.ClearField("type_name")
    described.ClearField("nested_type")


def _classes() -> tuple[Any, Any]:
    """Derive the types of a response, and of an attribute, from the service's own descriptions of them."""
    file = descriptor_pb2.FileDescriptorProto(name="millrace/pull.proto", package=_PACKAGE, syntax="proto3")
    for message in (pubsub_types.PubsubMessage, pubsub_types.ReceivedMessage):
        message.pb().DESCRIPTOR.CopyToProto(file.message_type.add())
    body, received = file.message_type
    file.message_type.add().CopyFrom(body.nested_type[0])
    file.message_type[-1].name = _ENTRY
    file.message_type[-1].ClearField("options")
    _as_bytes(body, frozenset({"publish_time", "attributes"}))
    for field in received.field:
        if field.name == "message":
            field.type_name = f".{_PACKAGE}.{body.name}"
    response = file.message_type.add(name="Response")
    described = pubsub_types.StreamingPullResponse.pb().DESCRIPTOR.fields_by_name["received_messages"]
    response.field.add(
        name=described.name,
        number=described.number,
        type=_Field.TYPE_MESSAGE,
        label=_Field.LABEL_REPEATED,
        type_name=f".{_PACKAGE}.{received.name}",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    response_class, entry_class = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in (response.name, _ENTRY)
    )
    return response_class, entry_class


StreamingPullResponse, _Entry = _classes()
"""Has `received_messages` as the service's own type has, but for `publish_time` and `attributes`, which are bytes."""


def attributes_of(entries: Any) -> dict[str, str]:
    """Read the attributes of a message.

    Args:
        entries: the bytes of each.

    Returns:
        The attributes by name; of a name that occurs twice, the last.
    """
    return {entry.key: entry.value for entry in map(_Entry.FromString, entries)}


def micros_of(instant: bytes) -> int:
    """Read an instant.

    Args:
        instant: the bytes of a `google.protobuf.Timestamp`.

    Returns:
        The instant, in microseconds since 1970 UTC.
    """
    micros: int = Timestamp.FromString(instant).ToMicroseconds()
    return micros
