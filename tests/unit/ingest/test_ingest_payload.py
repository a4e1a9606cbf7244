"""What BigQuery could not read is found before it is landed."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from core.telemetry import ATTRIBUTES
from ingest.decode.payload import MAX_TIMESTAMP, MIN_TIMESTAMP, check_timestamp, fingerprint, read_row, trace_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('äß\n"a1'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\x7f"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc"), json_values, max_size=4))
def test_what_is_json_is_read(row: dict[str, object]) -> None:
    assert read_row(msgspec.json.encode(row)) == row


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1e999}', "number_out_of_range"),
        (b'{"a":{"b":[-1e400]}}', "number_out_of_range"),
        (b'{"a":NaN}', "non_finite_number"),
        (b'{"a":[1,Infinity]}', "non_finite_number"),
        (b'{"a":-Infinity}', "non_finite_number"),
        (b'{"a":"\xff"}', "invalid_utf8"),
        (b'{"\xff":1}', "invalid_utf8"),
        (b'{"a":"\\ud800"}', "invalid_json"),
        (b'{"a":1}{}', "invalid_json"),
        (b'{"a":01}', "invalid_json"),
        (b'["a"]', "invalid_json"),
        (b"", "invalid_json"),
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "invalid_json"),
    ],
)
def test_what_is_not_has_a_reason(text: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_row(text)
    assert caught.value.reason == reason


def test_a_text_that_says_nan_is_no_number() -> None:
    assert read_row(b'{"a":"NaN","b":"1e999"}') == {"a": "NaN", "b": "1e999"}


@given(st.lists(st.text(), unique=True, min_size=1), st.randoms())
def test_a_fingerprint_ignores_order_and_values(names: list[str], random: object) -> None:
    shuffled = sorted(names, reverse=True)
    assert fingerprint(dict.fromkeys(names, 1)) == fingerprint(dict.fromkeys(shuffled, "x"))
    assert fingerprint(dict.fromkeys(names)) != fingerprint(dict.fromkeys([*names, "".join(names) + "+"]))


def test_a_fingerprint_is_stable_over_releases() -> None:
    assert fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1}) == "4958a65a6584dd7d"


def test_a_trace_id_is_read_from_a_valid_header_only() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace_id({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}) == trace
    assert trace_id({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}) is None
    assert trace_id({"traceparent": trace}) is None
    assert trace_id({}) is None
    # Wherever the spans look for it, so that a row leads to its trace.
    header = f"00-{trace}-00f067aa0ba902b7-01"
    assert {trace_id({name: header}) for name in ATTRIBUTES} == {trace}
    assert trace_id(dict.fromkeys(ATTRIBUTES, "") | {ATTRIBUTES[0]: header}) == trace


@given(st.integers())
def test_a_timestamp_must_fit_bigquery(micros: int) -> None:
    if MIN_TIMESTAMP <= micros <= MAX_TIMESTAMP:
        assert check_timestamp(micros) == micros
    else:
        with pytest.raises(DecodeError, match="years 1 to 9999"):
            check_timestamp(micros)


@pytest.mark.parametrize("micros", [MIN_TIMESTAMP - 1, MAX_TIMESTAMP + 1])
def test_the_limits_of_a_timestamp_are_exact(micros: int) -> None:
    assert check_timestamp(micros + int(math.copysign(1, -micros)))
    with pytest.raises(DecodeError):
        check_timestamp(micros)
