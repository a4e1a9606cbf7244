"""The text of a position orders changes as the connector's log does."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from ingest.decode.debezium.envelope import Source
from ingest.decode.debezium.positions import POSITIONS, position, source_timestamp

CASES = [json.loads(line) for line in Path("tests/fixtures/debezium/documented.ndjson").read_text().splitlines()]

halves = st.integers(0, 2**32 - 1)
lsns = st.tuples(halves, halves, st.integers(0, 2**16 - 1))
ordinals = st.integers(0, 10**9)
scns = st.integers(0, 2**63 - 1)
redo = st.tuples(halves, halves, st.integers(0, 2**16 - 1))


def source(connector: str, **fields: Any) -> Source:
    return msgspec.convert({"connector": connector, "name": "shop", "table": "things", **fields}, Source)


def sql_server(place: tuple[Any, ...]) -> Source:
    commit, change, serial = place
    texts = [f"{file:08x}:{block:08x}:{slot:04x}" for file, block, slot in (commit, change)]
    return source("sqlserver", commit_lsn=texts[0], change_lsn=texts[1], event_serial_no=serial)


def oracle(place: tuple[Any, ...]) -> Source:
    commit, scn, (log, block, offset), ssn, sequence = place
    return source(
        "oracle", commit_scn=str(commit), scn=str(scn), ssn=ssn, txSeq=sequence,
        rs_id=f" 0x{log:06x}.{block:08x}.{offset:04x} ",
    )  # fmt: skip


def binary_log(place: tuple[int, int, int]) -> Source:
    file, pos, row = place
    # The server pads to six digits, and goes on with seven.
    return source("mysql", file=f"binlog.{file:06d}", pos=pos, row=row)


LOGS: dict[str, tuple[st.SearchStrategy[Any], Any]] = {
    "postgresql": (st.integers(0, 2**63 - 1), lambda lsn: source("postgresql", lsn=lsn)),
    "mysql": (st.tuples(st.integers(0, 9_999_999), st.integers(0, 2**63 - 1), ordinals), binary_log),
    "sqlserver": (st.tuples(lsns, lsns, ordinals), sql_server),
    "oracle": (st.tuples(scns, scns, redo, ordinals, ordinals), oracle),
    "mongodb": (
        st.tuples(st.integers(0, 253_402_300_799_999), ordinals),
        lambda place: source("mongodb", ts_ms=place[0], ord=place[1]),
    ),
}


@pytest.mark.parametrize("connector", LOGS)
@given(data=st.data())
def test_the_order_of_the_texts_is_the_order_of_the_places(connector: str, data: st.DataObject) -> None:
    places, build = LOGS[connector]
    one, other = data.draw(places), data.draw(places)
    texts = [position(build(place)) for place in (one, other)]
    assert (texts[0] < texts[1], texts[0] == texts[1]) == (one < other, one == other)
    assert len(texts[0]) == len(texts[1])


@pytest.mark.parametrize("connector", [name for name in POSITIONS if name != "postgresql"])
@pytest.mark.parametrize("snapshot", ["true", "first", "last", "first_in_data_collection", True])
def test_a_snapshot_without_a_place_comes_before_whatever_was_streamed(connector: str, snapshot: Any) -> None:
    lowest = position(source(connector, snapshot=snapshot))
    streamed = [position(msgspec.convert(case["source"], Source)) for case in CASES]
    own = [text for case, text in zip(CASES, streamed, strict=True) if case["source"]["connector"] == connector]
    assert own
    assert all(lowest < text and len(lowest) <= len(text) for text in own)


@pytest.mark.parametrize("snapshot", ["true", "last", True])
def test_a_snapshot_of_postgresql_always_has_its_place(snapshot: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        position(source("postgresql", snapshot=snapshot))
    assert caught.value.reason == "missing_position"


@pytest.mark.parametrize("connector", POSITIONS)
@pytest.mark.parametrize("snapshot", [None, "false", False, "incremental"])
def test_what_was_streamed_without_a_place_is_refused(connector: str, snapshot: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        position(source(connector, snapshot=snapshot))
    assert caught.value.reason == "missing_position"


def test_a_snapshot_comes_before_what_was_committed_after_it_although_written_before() -> None:
    """A transaction that was open at SCN 200 is not in the snapshot as of it, whatever the SCN of its changes."""
    snapshot = position(source("oracle", snapshot="true", scn="200"))
    before = position(source("oracle", scn="100", commit_scn="150", rs_id="0x1.2.3", ssn=1))
    after = position(source("oracle", scn="100", commit_scn="250", rs_id="0x1.2.3", ssn=1))
    assert before < snapshot < after
    lsn = "0000002a:00000100:{:04x}".format
    snapshot = position(source("sqlserver", snapshot="true", commit_lsn=lsn(20), change_lsn="NULL"))
    before = position(source("sqlserver", commit_lsn=lsn(20 - 1), change_lsn=lsn(10), event_serial_no=1))
    after = position(source("sqlserver", commit_lsn=lsn(25), change_lsn=lsn(10), event_serial_no=1))
    assert before < snapshot < after


def test_changes_of_one_scn_are_in_the_order_of_the_stream() -> None:
    places = ["00000000d0fb0000000100000001", "00000000d0fb0000000100000002", "00000000d0fc0000000000000000"]
    texts = [position(source("oracle", scn="5", commit_scn="6", lcr_position=place)) for place in places]
    assert texts == sorted(texts)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("connector", "fields"),
    [
        ("mysql", {"file": "binlog", "pos": 4}),
        ("sqlserver", {"commit_lsn": "27:758:5", "change_lsn": "00000027:00000758:0003"}),
        ("oracle", {"scn": "many"}),
        ("oracle", {"scn": "5", "rs_id": "none"}),
        ("oracle", {"scn": "5", "lcr_position": "not hexadecimal"}),
    ],
)
def test_a_place_of_another_form_is_refused(connector: str, fields: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        position(source(connector, **fields))
    assert caught.value.reason == "invalid_position"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_a_documented_place_is_read(case: dict[str, Any]) -> None:
    read = msgspec.convert(case["source"], Source)
    assert position(read) == case["position"]
    assert source_timestamp(read) == case["source"]["ts_ms"] * 1_000
