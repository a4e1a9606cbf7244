"""Corrections, read by the ingester's own decoder: the row, the key and the place that were meant, for every type."""

import base64
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import to_micros
from core.contracts import Column, TableContract
from core.debezium import DebeziumHandling
from core.errors import ConfigurationError
from ingest.decode import DIALECTS
from ingest.decode.debezium.envelope import Source
from ingest.decode.debezium.positions import position
from ingest.message import Message
from ingest.row import RawRow
from reconcile.repair.differences import Row
from reconcile.repair.events import Correction, correction
from reconcile.repair.place import Place, lowest, source_fields
from reconcile.repair.publishing import batches

TAKEN_AT = datetime(2026, 1, 5, 7, 0, 0, 123_456, UTC)
ROW: dict[str, Any] = {
    "id": 7,
    "part": 'a"ü',
    "amount": Decimal("-0.000000001"),
    "wide": "12345678901234567890123456789012345678.5",
    "score": math.nan,
    "flag": False,
    "note": "line\nbreak",
    "photo": b"\xff\x00",
    "day": date(1969, 12, 31),
    "at": datetime(1, 1, 1, 0, 0, 0, 1),
    "clock": time(23, 59, 59, 999_999),
    "seen": datetime(9999, 12, 31, 23, 59, 59, 999_999),
    "doc": '{"b": 1.10, "a": null}',
    "tags": ["x", ""],
    "sizes": [1, -2],
}
LANDED = ROW | {
    "amount": "-0.000000001",
    "score": "NaN",
    "photo": base64.b64encode(b"\xff\x00").decode(),
    "day": -1,
    "at": to_micros(datetime(1, 1, 1, 0, 0, 0, 1, UTC)),
    "clock": 86_399_999_999,
    "seen": "9999-12-31T23:59:59.999999Z",
}
TYPES: dict[str, Any] = {
    "id": "int64", "part": "string", "amount": "numeric", "wide": "bignumeric", "score": "float64", "flag": "bool",
    "note": "string", "photo": "bytes", "day": "date", "at": "datetime", "clock": "time", "seen": "timestamp",
    "doc": "json", "tags": "array<string>", "sizes": "array<int64>",
}  # fmt: skip


def contract(handling: DebeziumHandling | None = None) -> TableContract:
    columns = tuple(Column(name, kind, "", name in ("id", "part"), True, None, ()) for name, kind in TYPES.items())
    return TableContract(
        name="things", source="shop", dataset="raw", description="", owner="", wire_format="debezium",
        topic="shop.public.things", notification_topic=None, api_path=None, columns=columns,
        debezium=handling or DebeziumHandling(),
    )  # fmt: skip


def decoded(table: TableContract, made: Correction) -> RawRow:
    message = Message("s", made.topic, "1", made.data, made.attributes, made.ordering_key)
    found = DIALECTS[table.wire_format](table, "load")(message)
    assert found is not None
    return found


def made(table: TableContract, row: Row, place: Place) -> Correction:
    return correction(table, row, place, run_id="r1", taken_at=TAKEN_AT)


HANDLINGS = [
    DebeziumHandling(),
    # Without its schema, each value would be read in another way.
    DebeziumHandling(decimal_handling="precise", time_precision="connect", binary_handling="hex"),
]


@pytest.mark.parametrize("handling", HANDLINGS)
@pytest.mark.parametrize("wire_format", ["debezium", "auto"])
def test_a_row_of_every_type_lands_as_it_is(handling: DebeziumHandling, wire_format: Any) -> None:
    table = replace(contract(handling), wire_format=wire_format)
    event = made(table, Row("missing", frozenset(), None, ROW), Place(f"{42:020d}", 3))
    found = decoded(table, event)
    assert found.payload is not None
    assert json.loads(found.payload) == LANDED
    assert (found.op, found.op_inferred, found.before) == ("SNAPSHOT", False, None)
    assert (found.source_position, found.source_sequence) == (f"{42:020d}", 3)
    assert found.source_ts == to_micros(TAKEN_AT)
    assert (found.source_system, found.source_table) == ("shop", "public.things")
    assert found.key == '{"id":7,"part":"a\\"ü"}'.encode()
    assert (event.topic, event.ordering_key, event.attributes) == (
        "shop.public.things",
        '{"id":7,"part":"a\\"ü"}',
        {"millrace_repair_of": "r1"},
    )


def test_a_row_that_is_too_many_lands_as_its_deletion() -> None:
    table = contract()
    found = decoded(table, made(table, Row("extra", frozenset(), ROW, None), Place(f"{42:020d}", 0)))
    assert (found.op, found.payload) == ("DELETE", None)
    assert found.before is not None
    assert json.loads(found.before) == LANDED


def test_nulls_and_infinities_land_as_they_are() -> None:
    table = contract()
    row = dict.fromkeys(ROW) | {"id": 1, "part": "", "score": -math.inf}
    found = decoded(table, made(table, Row("changed", frozenset({"score"}), ROW, row), Place(f"{1:020d}", 0)))
    assert found.payload is not None
    assert json.loads(found.payload) == row | {"score": "-Infinity"}


_LSN = st.integers(0, 2**63 - 1)
_ORDINAL = st.integers(0, 9_999_999_999)
_SERVER_LSN = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)).map(
    lambda parts: f"{parts[0]:08X}:{parts[1]:08X}:{parts[2]:04X}"
)
_SOURCES = st.one_of(
    st.builds(Source, name=st.just("s"), lsn=_LSN),
    st.builds(
        Source,
        name=st.just("s"),
        connector=st.sampled_from(["mysql", "mariadb"]),
        file=_ORDINAL.map(lambda number: f"mysql-bin.{number:06d}"),
        pos=_LSN,
        row=_ORDINAL,
    ),
    st.builds(
        Source,
        name=st.just("s"),
        connector=st.just("sqlserver"),
        commit_lsn=_SERVER_LSN,
        change_lsn=_SERVER_LSN,
        event_serial_no=_ORDINAL,
    ),
)


@given(_SOURCES, st.integers(0, 2**40))
def test_a_place_in_the_log_of_a_connector_is_told_as_that_connector_tells_it(source: Source, sequence: int) -> None:
    place = Place(position(source), sequence)
    table = contract()
    found = decoded(table, made(table, Row("missing", frozenset(), None, ROW), place))
    assert (found.source_position, found.source_sequence) == (place.position, sequence)
    assert lowest(place.position) <= place < place.after()
    assert (
        decoded(table, made(table, Row("missing", frozenset(), None, ROW), lowest(place.position))).source_position
        == lowest(place.position).position
    )


@pytest.mark.parametrize("text", ["2026-01-05T07:00:00.000000Z", "000000000000042:0000000001", "", "42"])
def test_a_place_in_another_log_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="without --republish"):
        source_fields(text)


@given(st.lists(st.integers(0, 3_000_000), max_size=12))
def test_batches_hold_all_in_order_and_fit_a_request(sizes: list[int]) -> None:
    messages = [Correction("t", str(n), b"x" * size, {}, Place("0", n), "missing") for n, size in enumerate(sizes)]
    found = list(batches(messages))
    assert [each for batch in found for each in batch] == messages
    assert all(len(batch) == 1 or sum(len(each.data) for each in batch) <= 5_000_000 for batch in found)


def test_a_batch_holds_no_more_messages_than_a_request_takes() -> None:
    messages = [Correction("t", str(n), b"", {}, Place("0", n), "missing") for n in range(2_500)]
    assert [len(batch) for batch in batches(messages)] == [1_000, 1_000, 500]
