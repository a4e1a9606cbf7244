"""Storage Write with the stock clients: proto and Arrow rows, offsets, bad rows, growing tables."""

from __future__ import annotations

import datetime as dt
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types, writer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

Rows = Callable[[str], list[tuple[Any, ...]]]
Append = Callable[..., types.AppendRowsResponse]
MOMENT = dt.datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=dt.UTC)
MICROS = 1_704_103_200_123_456
FIELDS = {
    "i": ("INT64", "REQUIRED", Field.TYPE_INT64),
    "n": ("NUMERIC", "NULLABLE", Field.TYPE_STRING),
    "f": ("FLOAT64", "NULLABLE", Field.TYPE_DOUBLE),
    "b": ("BOOL", "NULLABLE", Field.TYPE_BOOL),
    "s": ("STRING", "NULLABLE", Field.TYPE_STRING),
    "y": ("BYTES", "NULLABLE", Field.TYPE_BYTES),
    "d": ("DATE", "NULLABLE", Field.TYPE_INT32),
    "t": ("TIMESTAMP", "NULLABLE", Field.TYPE_INT64),
    "j": ("JSON", "NULLABLE", Field.TYPE_STRING),
    "a": ("STRING", "REPEATED", Field.TYPE_STRING),
}
FULL = {"i": 1, "n": "1.123456789", "f": 2.5, "b": False, "s": "", "y": b"\x00\xff", "d": 19_000}
FULL |= {"t": MICROS, "j": '{"k": [1]}', "a": ["p", "q"]}
STORED = (1, Decimal("1.123456789"), 2.5, False, "", b"\x00\xff", dt.date(2022, 1, 8), MOMENT, {"k": [1]}, ["p", "q"])


def row_message(extra: str | None = None) -> tuple[descriptor_pb2.DescriptorProto, Any]:
    descriptor = descriptor_pb2.DescriptorProto(name="Row")
    for number, (name, (_, mode, kind)) in enumerate(FIELDS.items(), 1):
        label = Field.LABEL_REPEATED if mode == "REPEATED" else Field.LABEL_OPTIONAL
        descriptor.field.add(name=name, number=number, type=kind, label=label)
    if extra:
        descriptor.field.add(name=extra, number=99, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    return descriptor, message_class(descriptor)


def message_class(descriptor: descriptor_pb2.DescriptorProto) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="row.proto", syntax="proto2", message_type=[descriptor])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Row"))


def proto_request(
    rows: list[bytes], descriptor: descriptor_pb2.DescriptorProto | None = None
) -> types.AppendRowsRequest:
    data = types.AppendRowsRequest.ProtoData(rows=types.ProtoRows(serialized_rows=rows))
    if descriptor is not None:
        data.writer_schema = types.ProtoSchema(proto_descriptor=descriptor)
    return types.AppendRowsRequest(proto_rows=data)


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    schema = [bigquery.SchemaField(name, kind, mode=mode) for name, (kind, mode, _) in FIELDS.items()]
    resource = bigquery.Table(f"{client.project}.{dataset}.t", schema=schema)
    resource.time_partitioning = bigquery.TimePartitioning(field="t")
    resource.clustering_fields = ["s"]
    client.create_table(resource)
    return f"projects/{client.project}/datasets/{dataset}/tables/t"


@pytest.fixture
def append(write_client: BigQueryWriteClient, table: str) -> Iterator[Append]:
    """Open one stream for proto rows, and append rows on it: messages, or raw bytes."""
    requests: queue.Queue[types.AppendRowsRequest | None] = queue.Queue()
    responses: list[Iterator[types.AppendRowsResponse]] = []
    descriptor, message = row_message()

    def send(
        *rows: Any, stream: str = f"{table}/streams/_default", offset: int | None = None
    ) -> types.AppendRowsResponse:
        sent = [row if isinstance(row, bytes) else message(**row).SerializeToString() for row in rows]
        request = proto_request(sent, None if responses else descriptor)
        if not responses:
            request.write_stream = stream  # the first request names the stream, as the documentation says
        if offset is not None:
            request.offset = offset
        requests.put(request)
        if not responses:
            responses.append(iter(write_client.append_rows(iter(requests.get, None))))
        return next(responses[0])

    yield send
    requests.put(None)


def test_proto_rows_of_the_stock_stream_manager_arrive_with_every_type(
    write_client: BigQueryWriteClient, table: str, rows: Rows
) -> None:
    descriptor, message = row_message()
    template = proto_request([], descriptor)
    template.write_stream = f"{table}/streams/_default"
    stream = writer.AppendRowsStream(write_client, template)
    stream.send(proto_request([message(**row).SerializeToString() for row in (FULL, {"i": 2})])).result(20)
    stream.close()
    assert rows("select * from t order by i") == [STORED, (2, *[None] * 8, [])]


def test_arrow_rows_arrive_with_every_type(write_client: BigQueryWriteClient, table: str, rows: Rows) -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "t": pa.array([MICROS], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "i": [1],
            "n": pa.array([Decimal("1.123456789")], pa.decimal128(38, 9)),
            "f": [2.5],
            "b": [False],
            "s": [""],
            "y": [b"\x00\xff"],
            "d": pa.array([19_000], pa.int32()).cast(pa.date32()),
            "j": ['{"k": [1]}'],
            "a": [["p", "q"]],
        }
    )
    request = types.AppendRowsRequest(
        write_stream=f"{table}/streams/_default",
        arrow_rows=types.AppendRowsRequest.ArrowData(
            writer_schema=types.ArrowSchema(serialized_schema=batch.schema.serialize().to_pybytes()),
            rows=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes()),
        ),
    )
    (response,) = write_client.append_rows(iter([request]))
    assert not response.error.code
    assert rows("select * from t") == [STORED]


def test_a_committed_stream_appends_each_offset_once(
    write_client: BigQueryWriteClient, table: str, append: Append, rows: Rows
) -> None:
    committed = types.WriteStream(type_=types.WriteStream.Type.COMMITTED)
    stream = write_client.create_write_stream(parent=table, write_stream=committed).name
    assert append({"i": 1}, {"i": 2}, stream=stream, offset=0).append_result.offset == 0
    assert append({"i": 1}, {"i": 2}, offset=0).error.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert append({"i": 9}, offset=5).error.code == grpc.StatusCode.OUT_OF_RANGE.value[0]
    assert append({"i": 3}, offset=2).append_result.offset == 2
    assert write_client.finalize_write_stream(name=stream).row_count == 3
    assert rows("select i from t order by i") == [(1,), (2,), (3,)]


def test_bad_rows_are_named_and_nothing_of_their_request_lands(append: Append, rows: Rows) -> None:
    refused = append({"i": 1}, {"i": 2, "j": "{"}, {"i": 3, "n": "much"}, {"s": "no key"})
    assert refused.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [row.index for row in refused.row_errors] == [1, 2, 3]
    assert [row.index for row in append({"i": 1}, b"\xff\xff").row_errors] == [1]
    assert not append({"i": 4}).error.code  # the connection lives on
    assert rows("select i from t") == [(4,)]


def test_unknown_fields_are_a_schema_mismatch(write_client: BigQueryWriteClient, table: str, rows: Rows) -> None:
    descriptor, message = row_message(extra="surprise")
    request = proto_request([message(i=1, surprise="!").SerializeToString()], descriptor)
    request.write_stream = f"{table}/streams/_default"
    (response,) = write_client.append_rows(iter([request]))
    assert response.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    detail = types.StorageError.pb(types.StorageError())
    assert response.error.details[0].Unpack(detail)
    assert detail.code == types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS
    assert "surprise" in detail.error_message
    assert rows("select count(*) from t") == [(0,)]


def test_nested_messages_arrive_too(
    client: bigquery.Client, dataset: str, write_client: BigQueryWriteClient, rows: Rows
) -> None:
    rows("create table nested (id int64, inner_row struct<x int64, s string>)")
    descriptor = descriptor_pb2.DescriptorProto(name="Row")
    descriptor.field.add(name="id", number=1, type=Field.TYPE_INT64, label=Field.LABEL_OPTIONAL)
    descriptor.field.add(
        name="inner_row", number=2, type=Field.TYPE_MESSAGE, type_name="Inner", label=Field.LABEL_OPTIONAL
    )
    inner = descriptor.nested_type.add(name="Inner")
    inner.field.add(name="x", number=1, type=Field.TYPE_INT64, label=Field.LABEL_OPTIONAL)
    inner.field.add(name="s", number=2, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    message = message_class(descriptor)
    request = proto_request([message(id=1, inner_row={"x": 2, "s": "y"}).SerializeToString()], descriptor)
    request.write_stream = f"projects/{client.project}/datasets/{dataset}/tables/nested/streams/_default"
    (response,) = write_client.append_rows(iter([request]))
    assert not response.error.code, response.error
    assert rows("select id, inner_row.x, inner_row.s from nested") == [(1, 2, "y")]


def test_rows_without_a_writer_schema_are_refused(write_client: BigQueryWriteClient, table: str) -> None:
    stream = f"{table}/streams/_default"
    empty = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=b"x"))
    for request in (proto_request([b""]), types.AppendRowsRequest(arrow_rows=empty)):
        request.write_stream = stream
        (response,) = write_client.append_rows(iter([request]))
        assert "writer schema" in response.error.message


def test_an_open_connection_learns_that_the_table_has_grown(append: Append, rows: Rows) -> None:
    assert not append({"i": 1}).updated_schema.fields
    rows("alter table t add column extra string")
    assert "extra" in [field.name for field in append({"i": 2}).updated_schema.fields]
    assert not append({"i": 3}).updated_schema.fields
    assert rows("select i, extra from t order by i") == [(1, None), (2, None), (3, None)]


def test_a_request_over_the_limit_is_refused_and_the_next_one_is_not(append: Append, rows: Rows) -> None:
    append({"i": 1})
    refused = append({"i": 2, "s": "x" * (10 * 1024 * 1024)})
    assert refused.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    append({"i": 3})
    assert rows("select i from t order by i") == [(1,), (3,)]


def test_a_missing_table_is_not_found(write_client: BigQueryWriteClient, table: str) -> None:
    request = proto_request([], row_message()[0])
    request.write_stream = f"{table}_gone/streams/_default"
    with pytest.raises(GoogleAPICallError, match="not found"):
        list(write_client.append_rows(iter([request])))


def test_the_count_in_the_table_resource_is_true(
    client: bigquery.Client, dataset: str, append: Append, rows: Rows
) -> None:
    append({"i": 1}, {"i": 2})
    assert client.get_table(f"{dataset}.t").num_rows == 2
    rows("delete from t where i = 1")
    assert client.get_table(f"{dataset}.t").num_rows == 1


def test_appends_go_on_while_a_query_runs_and_neither_sees_the_other(append: Append, rows: Rows) -> None:
    slow = "select count(*) from unnest(generate_array(1, 10000)) a, unnest(generate_array(1, 40000)) b where a != b"
    append({"i": 0})
    with ThreadPoolExecutor(1) as pool:
        query = pool.submit(rows, slow)
        appended = 1
        while not query.done():
            append({"i": appended})
            appended += 1
        assert query.result() == [(399_990_000,)]
    assert appended > 5  # were they to wait for the query, there would be one
    assert rows("select count(*), count(distinct i) from t") == [(appended, appended)]
