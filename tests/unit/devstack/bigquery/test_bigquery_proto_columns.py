"""Decoding protobuf rows column by column, held against protobuf's own view of each row."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from hypothesis import given
from hypothesis import strategies as st

from devstack.bigquery.shims import proto_columns
from devstack.bigquery.shims.proto_columns import ColumnDecoder, MalformedRowError, UnsupportedRowsError

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: dict[str, tuple[int, st.SearchStrategy[Any]]] = {
    "i": (Field.TYPE_INT64, INT64 | st.just(proto_columns._UNSET_INTEGER)),
    "z": (Field.TYPE_SINT32, st.integers(-(2**31), 2**31 - 1)),
    "u": (Field.TYPE_UINT64, st.integers(0, 2**64 - 1)),
    "s": (Field.TYPE_STRING, TEXT | st.just(proto_columns._UNSET_TEXT)),
    "y": (Field.TYPE_BYTES, st.binary(max_size=8)),
    "b": (Field.TYPE_BOOL, st.booleans()),
    "f": (Field.TYPE_DOUBLE, st.floats(allow_nan=False) | st.just(proto_columns._UNSET_FLOAT)),
}
LISTS = {"si": (Field.TYPE_INT64, INT64), "ss": (Field.TYPE_STRING, TEXT), "sb": (Field.TYPE_BOOL, st.booleans())}


def row_descriptor() -> descriptor_pb2.DescriptorProto:
    descriptor = descriptor_pb2.DescriptorProto(name="Sent")
    for number, (name, (kind, _)) in enumerate([*VALUES.items(), *LISTS.items()], 1):
        label = Field.LABEL_REPEATED if name in LISTS else Field.LABEL_OPTIONAL
        descriptor.field.add(name=name, number=number, type=kind, label=label)
    return descriptor


def message_class(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sent.proto", syntax="proto2", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.name))


SENT = message_class(row_descriptor())
DECODER = ColumnDecoder(row_descriptor())
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.lists(values, max_size=3) for name, (_, values) in LISTS.items()},
        optional={name: values for name, (_, values) in VALUES.items()},
    ),
    max_size=5,
)


@given(ROWS)
def test_what_was_set_comes_back_and_what_was_not_is_null(rows: list[dict[str, Any]]) -> None:
    columns = DECODER.decode([SENT(**row).SerializeToString() for row in rows])
    for name in [*VALUES, *LISTS]:
        assert columns[name].to_pylist() == [row.get(name) for row in rows]


def test_names_keep_the_order_of_the_schema() -> None:
    assert DECODER.names == [*VALUES, *LISTS]


def test_a_row_that_cannot_be_parsed_is_named() -> None:
    good = SENT(i=1).SerializeToString()
    with pytest.raises(MalformedRowError) as error:
        DECODER.decode([good, b"\xff\xff", good])
    assert error.value.index == 1


def test_nested_messages_are_left_to_the_emulator() -> None:
    descriptor = row_descriptor()
    descriptor.field.add(name="m", number=99, type=Field.TYPE_MESSAGE, type_name=".Other", label=Field.LABEL_OPTIONAL)
    with pytest.raises(UnsupportedRowsError):
        ColumnDecoder(descriptor)
