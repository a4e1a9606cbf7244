"""Both encoders write the rows that the plain one writes, value by value, whatever the rows."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.raw_row import RAW_COLUMNS
from ingest.encode import ENCODERS
from ingest.encode.arrow import RAW_SCHEMA
from ingest.row import RAW_ROW_TYPE, RawRow, encode_rows
from ingest.rpc import AppendRowsRequest

NAMES = [column.name for column in RAW_COLUMNS]
few_texts = st.sampled_from(["", "a", "member.members", "ü€\N{OLD ITALIC LETTER A}"])
texts = st.none() | st.text(max_size=30).map(str.encode) | st.sampled_from([b"x" * size for size in (127, 128, 16_384)])
int64s = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)

rows = st.lists(
    st.builds(
        RawRow,
        op=st.sampled_from(["INSERT", "DELETE"]),
        op_inferred=st.booleans(),
        source_system=few_texts,
        source_table=few_texts,
        event_id=few_texts,
        load_id=few_texts,
        publish_ts=int64s,
        key=texts,
        payload=texts,
        before=texts,
        source_ts=st.none() | int64s,
        source_position=st.none() | few_texts,
        source_sequence=st.none() | int64s,
        schema_fingerprint=st.none() | few_texts,
        trace_id=st.none() | few_texts,
    ),
    min_size=1,
    max_size=12,
)


def read_proto(request: AppendRowsRequest) -> list[dict[str, object]]:
    """The rows of a request, absent fields as None."""
    found = [RAW_ROW_TYPE.message_class.FromString(row) for row in request.proto_rows.rows.serialized_rows]
    return [{name: getattr(row, name) if row.HasField(name) else None for name in NAMES} for row in found]


def read_arrow(request: AppendRowsRequest) -> list[dict[str, object]]:
    """The rows of a request, timestamps in microseconds."""
    schema = pa.ipc.read_schema(pa.py_buffer(request.arrow_rows.writer_schema.serialized_schema))
    batch = pa.ipc.read_record_batch(pa.py_buffer(request.arrow_rows.rows.serialized_record_batch), schema)
    batch.validate(full=True)
    assert schema == RAW_SCHEMA
    plain = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in batch.itercolumns()
    ]
    return pa.RecordBatch.from_arrays(plain, NAMES).to_pylist()


def plainly(rows: list[RawRow], ingestion_ts: int) -> list[dict[str, object]]:
    request = AppendRowsRequest()
    request.proto_rows.rows.serialized_rows.extend(encode_rows(rows, ingestion_ts))
    return read_proto(request)


READERS = {"proto": read_proto, "arrow": read_arrow}


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None)
@given(rows, int64s)
def test_every_encoder_writes_the_same_rows(name: str, rows: list[RawRow], ingestion_ts: int) -> None:
    encoded = ENCODERS[name](rows, ingestion_ts)
    request = AppendRowsRequest()
    encoded.fill(request)
    encoded.describe(request)
    assert READERS[name](request) == plainly(rows, ingestion_ts)
    assert len(encoded) == len(rows)
    # What the request limit is held against is never less than what is sent.
    assert sum(encoded.row_sizes()) >= sum(map(len, encode_rows(rows, ingestion_ts)))
    assert encoded.size <= sum(encoded.row_sizes()) + 4_096


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None)
@given(rows, st.data())
def test_some_of_the_rows_are_those_rows(name: str, rows: list[RawRow], data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1)))
    request = AppendRowsRequest()
    part = ENCODERS[name](rows, 7).take(places)
    part.fill(request)
    part.describe(request)
    assert READERS[name](request) == plainly([rows[place] for place in places], 7)
    assert part.row_sizes() == [ENCODERS[name](rows, 7).row_sizes()[place] for place in places]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_size_of_a_large_batch_is_what_the_request_weighs(name: str) -> None:
    row = RawRow("INSERT", False, "s", "t", "1", "l", 1, key=b"{}", payload=b"x" * 3_000, source_ts=1)
    encoded = ENCODERS[name]([row] * 1_000, 7)
    request = AppendRowsRequest()
    encoded.fill(request)
    assert request.ByteSize() <= encoded.size <= 1.2 * request.ByteSize()
