"""Protocol-buffer types made at run time from a list of columns.

The Storage Write API takes rows as messages of a type the writer describes; how GoogleSQL types map to protocol
buffers is said in https://cloud.google.com/bigquery/docs/supported-data-types. Timestamps travel as INT64
microseconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {
    "STRING": _FIELD.TYPE_STRING,
    "BYTES": _FIELD.TYPE_BYTES,
    "BOOL": _FIELD.TYPE_BOOL,
    "INT64": _FIELD.TYPE_INT64,
    "TIMESTAMP": _FIELD.TYPE_INT64,
}


class ProtoColumn(Protocol):
    """What must be known of a column to write it."""

    @property
    def name(self) -> str:
        """Column name."""

    @property
    def data_type(self) -> str:
        """GoogleSQL type, in upper case."""


@dataclass(frozen=True)
class RowType:
    """A row's type, in the two forms its writer needs.

    Attributes:
        message_class: makes and serialises rows; fields are keyword arguments, None is null.
        descriptor: the type's description, sent with the first request of a stream.
    """

    message_class: Any
    descriptor: descriptor_pb2.DescriptorProto


def row_type(name: str, columns: Iterable[ProtoColumn]) -> RowType:
    """Make the type of a table's rows.

    Every field is optional, whatever the column says: a missing value is the server's to refuse, row by row.

    Args:
        name: name of the message type.
        columns: the table's columns, in order.

    Returns:
        The type.

    Raises:
        KeyError: when a column's type cannot be written.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"millrace/{name}.proto", package="millrace")
    message = file.message_type.add(name=name)
    for number, column in enumerate(columns, start=1):
        message.field.add(name=column.name, number=number, type=_TYPES[column.data_type], label=_FIELD.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"millrace.{name}")
    return RowType(message_factory.GetMessageClass(descriptor), message)
