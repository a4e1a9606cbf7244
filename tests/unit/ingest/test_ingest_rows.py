"""Rows on the wire: what the descriptor says is what a reader finds."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.raw_row import RAW_COLUMNS
from ingest.dead_letters import DEAD_LETTER_TYPE
from ingest.row import RAW_ROW_TYPE, RawRow, encode_rows

texts = st.none() | st.text().map(str.encode)
int64s = st.integers(-(2**63), 2**63 - 1)

rows = st.builds(
    RawRow,
    op=st.sampled_from(["INSERT", "DELETE"]),
    op_inferred=st.booleans(),
    source_system=st.text(),
    source_table=st.text(),
    event_id=st.text(),
    load_id=st.text(),
    publish_ts=int64s,
    key=texts,
    payload=texts,
    before=texts,
    source_ts=st.none() | int64s,
    source_position=st.none() | st.text(),
    source_sequence=st.none() | int64s,
    schema_fingerprint=st.none() | st.text(),
    trace_id=st.none() | st.text(),
    moved_from=st.none() | st.just(RawRow("DELETE", True, "", "", "", "", 0)),
)


@given(rows, int64s)
def test_a_row_survives_the_wire_column_by_column(row: RawRow, ingestion_ts: int) -> None:
    [encoded] = encode_rows([row], ingestion_ts)
    read = RAW_ROW_TYPE.message_class.FromString(encoded)
    expected = msgspec.structs.asdict(row) | {"ingestion_ts": ingestion_ts}
    del expected["moved_from"]  # a row of its own
    for column in RAW_COLUMNS:
        value = expected.pop(column.name.removeprefix("_"))
        if value is None:
            assert not read.HasField(column.name)
        else:
            assert getattr(read, column.name) == (value.decode() if isinstance(value, bytes) else value)
    assert not expected


def test_the_descriptor_names_every_column_in_order() -> None:
    assert [field.name for field in RAW_ROW_TYPE.descriptor.field] == [column.name for column in RAW_COLUMNS]
    assert DEAD_LETTER_TYPE.descriptor.field[7].name == "data"
