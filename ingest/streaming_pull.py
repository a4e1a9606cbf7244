"""The responses of StreamingPull, as types of which nothing is read that is not used.

On the wire a nested message is its length and its bytes, as a `bytes` field is
(https://protobuf.dev/programming-guides/encoding/#submessages). Declared as such, the publication instant and the
attributes of a message are not made objects of the Python layer one by one, which took a third of reading it. Fields
that are not declared, such as the confirmation of an exactly-once acknowledgement, are skipped.

A parser merges what comes twice of a nested message that may come once, and gathers what comes twice of a field that
may come often (https://protobuf.dev/programming-guides/encoding/#last-one-wins). So a type in which the messages of a
response may come once, and their fields often, is the same response by columns: all that the messages have in common
is read by one call a field, which takes a third of the time of reading message by message.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.timestamp_pb2 import Timestamp
from google.pubsub_v1 import types as pubsub_types

_Field = descriptor_pb2.FieldDescriptorProto
_ENTRY: Final = "Entry"
_READ_AS_BYTES: Final = frozenset({"publish_time", "attributes"})


def _described(package: str) -> descriptor_pb2.FileDescriptorProto:
    """Derive the types of a response, and of an attribute, from the service's own descriptions of them."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message in (pubsub_types.PubsubMessage, pubsub_types.ReceivedMessage):
        message.pb().DESCRIPTOR.CopyToProto(file.message_type.add())
    body, received = file.message_type
    entry = file.message_type.add()
    entry.CopyFrom(body.nested_type[0])
    entry.name = _ENTRY
    entry.ClearField("options")
    body.ClearField("nested_type")
    for field in body.field:
        if field.name in _READ_AS_BYTES:
            field.type = _Field.TYPE_BYTES
            field.ClearField("type_name")
    for field in received.field:
        if field.name == "message":
            field.type_name = f".{package}.{body.name}"
    described = pubsub_types.StreamingPullResponse.pb().DESCRIPTOR.fields_by_name["received_messages"]
    file.message_type.add(name="Response").field.add(
        name=described.name,
        number=described.number,
        type=_Field.TYPE_MESSAGE,
        label=_Field.LABEL_REPEATED,
        type_name=f".{package}.{received.name}",
    )
    return file


def _by_columns(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Let nested messages come once, and everything else often."""
    for message in file.message_type:
        for field in message.field:
            is_nested = field.type == _Field.TYPE_MESSAGE
            field.label = _Field.LABEL_OPTIONAL if is_nested else _Field.LABEL_REPEATED
    return file


def _with_whole_bodies(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Declare the bodies of the messages as the bytes that they are on the wire."""
    for message in file.message_type:
        for field in message.field:
            if field.name == "message":
                field.type = _Field.TYPE_BYTES
                field.ClearField("type_name")
    return file


def _class(file: descriptor_pb2.FileDescriptorProto, name: str) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))


StreamingPullResponse: Final = _class(_described("millrace.pull"), "Response")
"""Has `received_messages` as the service's own type has, but for `publish_time` and `attributes`, which are bytes."""

StreamingPullColumns: Final = _class(_by_columns(_described("millrace.pull_columns")), "Response")
"""Has in its one `received_messages`, and in its one `message`, the values that were sent of each field, in order.

A value that is empty, or zero, is not sent: only fields with as many values as there are messages tell whose each is.
"""

StreamingPullBodies: Final = _class(_by_columns(_with_whole_bodies(_described("millrace.pull_bodies"))), "Response")
"""Has in its one `received_messages` the bytes of each `message`, in order."""

_Entry: Final = _class(_described("millrace.pull_entry"), _ENTRY)


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
