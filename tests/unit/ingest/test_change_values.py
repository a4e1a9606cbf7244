"""What change detection compares and orders by: fingerprints of rows, their positions, the markers of full dumps."""

import json
from dataclasses import replace as replaced

import pytest
from detect_table import UPSERTS, landing
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from ingest.detect import dump_marker
from ingest.detect.positions import dump_position, positioner
from ingest.detect.state import fingerprint_of
from ingest.message import Message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5) | st.decimals(-9, 9, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4)


def written(value: object, *, backwards: bool, blanks: bool, zeros: str) -> str:
    """JSON by hand: fields in either order, with or without blanks, decimals with more zeros."""
    gap = " " if blanks else ""
    if isinstance(value, dict):
        fields = list(value.items())[:: -1 if backwards else 1]
        inner = [
            f"{json.dumps(name)}{gap}:{written(one, backwards=backwards, blanks=blanks, zeros=zeros)}"
            for name, one in fields
        ]
        return "{" + f"{gap},{gap}".join(inner) + "}"
    if isinstance(value, list):
        inner = [written(one, backwards=backwards, blanks=blanks, zeros=zeros) for one in value]
        return "[" + f",{gap}".join(inner) + "]"
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value)
    return f"{value}{zeros}"


@given(OBJECTS, st.booleans(), st.booleans(), st.sampled_from(["", "0", "000"]))
def test_the_form_of_a_row_does_not_matter(value: dict[str, object], backwards: bool, blanks: bool, zeros: str) -> None:
    plain = written(value, backwards=False, blanks=False, zeros="").encode()
    other = written(value, backwards=backwards, blanks=blanks, zeros=zeros).encode()
    assert fingerprint_of(plain) == fingerprint_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"n":0.1234567890123456789}', b'{"n":0.1234567890123456788}'),
        (b'{"n":9007199254740993}', b'{"n":9007199254740992}'),
        (b'{"n":12345678901234567890123}', b'{"n":12345678901234567890124}'),
        (b'{"n":1.10}', b'{"n":"1.1"}'),
        (b'{"n":null}', b"{}"),
        (b'{"n":[1,2]}', b'{"n":[2,1]}'),
        (b"{", b'{"n":1}'),
    ],
)
def test_contents_that_differ_are_told_apart(one: bytes, other: bytes) -> None:
    assert fingerprint_of(one) != fingerprint_of(other)
    assert fingerprint_of(None) is None


# Positions and markers


def test_rows_without_a_position_get_one_that_stays() -> None:
    place = positioner(UPSERTS)
    for source_ts, expected in ((17, 17), (None, 99), (-5, 99)):
        row = landing(1, 1, source_position=None, source_ts=source_ts, publish_ts=99).row
        place(Message("s", "t", "e", b"", publish_ts=99), row)
        assert row.source_position == f"{expected:020d}"
    row = landing(1, 7).row
    place(Message("s", "t", "e", b""), row)
    assert row.source_position == f"{7:020d}"


def test_the_rows_of_a_dump_get_its_id() -> None:
    place = positioner(replaced(UPSERTS, pattern="full_dump"))
    row = landing(1, 7).row
    place(Message("s", "t", "e", b"", {"millrace_dump_id": "42"}), row)
    assert row.source_position == f"{42:020d}"
    assert dump_position("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05Z"
    with pytest.raises(DecodeError, match="millrace_dump_id"):
        place(Message("s", "t", "e", b""), row)
    for wrong_id in ("", "a b", "x" * 129, "-1", "é", "a'b"):
        with pytest.raises(DecodeError):
            dump_position(wrong_id)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"millrace_dump_id": "7"}, None),
        ({"millrace_dump_id": "7", "millrace_dump": "begin"}, ("begin", None)),
        ({"millrace_dump_id": "7", "millrace_dump": "end", "millrace_dump_rows": "0"}, ("end", 0)),
    ],
)
def test_markers_are_recognised(attributes: dict[str, str], expected: tuple[str, int | None] | None) -> None:
    marker = dump_marker(Message("s", "t", "e", b"", attributes))
    assert (None if marker is None else (marker.kind, marker.rows)) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {"millrace_dump": "end", "millrace_dump_rows": "1"},
        {"millrace_dump": "end", "millrace_dump_id": "7"},
        {"millrace_dump": "end", "millrace_dump_id": "7", "millrace_dump_rows": "-1"},
        {"millrace_dump": "end", "millrace_dump_id": "7", "millrace_dump_rows": "²"},
        {"millrace_dump": "over", "millrace_dump_id": "7", "millrace_dump_rows": "1"},
    ],
)
def test_a_wrong_marker_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(DecodeError):
        dump_marker(Message("s", "t", "e", b"", attributes))
