"""Schema drift: what does not fit its contract is told once, kept unless told otherwise, and never shown in full."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile_events import ODD, POSTGRESQL, SCALARS, TYPES, USUAL, table
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode.batch import Decoded, batch_decoder
from ingest.drift.changes import Change, compare
from ingest.drift.forms import FORMS, fits, seen_type
from ingest.drift.log import drift_row
from ingest.drift.samples import masked, sample
from ingest.drift.table import SCHEMA_DRIFT_TYPE
from ingest.drift.watch import LOOKS, MAX_TOLD, Drift
from ingest.message import Message

CONTRACTS_PATH = Path("dbt_project/models/raw")
ROW = {"id0": 7, "c_int64": 1, "c_numeric": "1.5", "c_string": "x", "c_bool": True, "c_timestamp": 5, "c_date": 1}
WHEN = datetime(2026, 1, 5, tzinfo=UTC)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("0123456789-+.:TZ[]{}tfe ae", max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)


def contract(drift: Any = "allow_new", **fields: Any) -> TableContract:
    return table(["int64"], SCALARS, drift=drift, **fields)


def event(row: dict[str, Any] | None, op: str = "c", **fields: Any) -> bytes:
    return json.dumps({"before": None, "after": row, "source": POSTGRESQL, "op": op} | fields).encode()


def decoded(declared: TableContract, bodies: Sequence[bytes]) -> tuple[Decoded, list[Drift]]:
    told: list[Drift] = []
    batch = [
        Message("sub", declared.topic, str(number), data, {}, '{"id0":7}', 5) for number, data in enumerate(bodies)
    ]
    return batch_decoder(declared, "load", told.append)(batch), told


# What fits.


@given(st.sampled_from(TYPES), json_values | st.sampled_from(ODD))
def test_what_the_parser_takes_fits(data_type: Any, value: Any) -> None:
    """The quick check and the thorough one must not contradict each other."""
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=FORMS[data_type])
    except (msgspec.MsgspecError, UnicodeError):
        return
    assert fits(data_type, value)


@pytest.mark.parametrize("data_type", TYPES)
def test_every_usual_form_fits(data_type: Any) -> None:
    assert all(fits(data_type, value) for value in USUAL[data_type])


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("int64", "abc"), ("int64", 2**63), ("int64", 1.5), ("int64", True), ("numeric", "BOI="), ("float64", "1,5"),
        ("bool", 2), ("bool", "yes"), ("string", 5), ("bytes", [1]), ("date", "soon"), ("date", 1.5),
        ("timestamp", "2026-13-45"), ("time", "noon"), ("array<string>", "a,b"), ("array<int64>", ["x"]),
        ("numeric", {"scale": 2, "value": "BOI="}),
    ],
)  # fmt: skip
def test_what_no_cast_could_read_does_not_fit(data_type: Any, value: Any) -> None:
    assert not fits(data_type, value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("a", None, "null"), ("a", True, "bool"), ("a", 5, "int64"), ("a", 2**63, "numeric"), ("a", 1.5, "float64"),
        ("a", "x", "string"), ("a", "00123", "string"), ("a", "12.50", "numeric"), ("a", "2026-01-02", "date"),
        ("a", "2026-13-02", "string"), ("a", "2026-01-02T03:04:05Z", "timestamp"),
        ("a", "2026-01-02 03:04:05.123456789+01:00", "timestamp"), ("a", "2026-01-02T03:04:05", "datetime"),
        ("a", '{"a":1}', "json"), ("a", "{no", "string"), ("a", {}, "json"), ("a", [1, None], "array<int64>"),
        ("a", ["x"], "array<string>"), ("a", [], "null"), ("a", [None], "null"), ("a", [1, "x"], "json"),
        ("a", [2**63], "json"),
        ("paid_at", 1_767_323_045_678_901, "timestamp"), ("paid_at", 5, "int64"), ("born_on", 19_000, "date"),
        ("number", 1_767_323_045_678_901, "int64"), ("a", "__debezium_unavailable_value", "null"),
    ],
)  # fmt: skip
def test_a_value_looks_like_its_type(name: str, value: Any, expected: str) -> None:
    assert seen_type(name, value) == expected


@given(st.sampled_from(["a", "a_at", "a_on"]), json_values)
def test_a_value_fits_the_type_it_looks_like(name: str, value: Any) -> None:
    looks = seen_type(name, value)
    assert looks == "null" or fits(looks, value)  # type: ignore[arg-type]


# What is told of a payload.


def test_new_missing_and_retyped_fields_are_told_apart() -> None:
    row = {name: value for name, value in ROW.items() if name != "c_bool"} | {"c_int64": "abc", "new": 1.5}
    assert compare(contract(), row, is_full=True) == [
        Change("new_field", "new", None, "float64"),
        Change("type_changed", "c_int64", "int64", "string"),
        Change("missing_field", "c_bool", "bool", None),
    ]
    assert [change.kind for change in compare(contract(), row, is_full=False)] == ["new_field", "type_changed"]


def test_a_payload_that_fits_is_not_told_of() -> None:
    images = [ROW, dict(reversed(ROW.items())), dict.fromkeys(ROW, None) | {"id0": 1}, ROW | {"c_int64": "12"}]
    result, told = decoded(contract(), [event(image) for image in images])
    assert (len(result.landings), told) == (4, [])


def test_drift_is_told_once_and_landed_all_the_same() -> None:
    bodies = [event(ROW | {"new": number}) for number in range(50)]
    result, told = decoded(contract(), bodies)
    assert len(result.landings) == 50
    [drift] = told
    assert (drift.change, drift.value, drift.event_id) == (Change("new_field", "new", None, "int64"), 0, "0")
    assert drift.schema_fingerprint == result.landings[0].row.schema_fingerprint


def test_another_set_of_names_is_told_anew() -> None:
    _, told = decoded(contract(), [event(ROW | {"new": 1}), event(ROW | {"new": 1, "newer": 2})])
    assert [drift.change.field for drift in told] == ["new", "new", "newer"]
    assert len({drift.schema_fingerprint for drift in told}) == 2


def test_a_field_that_begins_with_nulls_is_looked_at_again() -> None:
    _, told = decoded(contract(), [event(ROW | {"new": value}) for value in (None, None, 5, 5, 1.5)])
    assert [drift.change.seen for drift in told] == ["null", "int64", "float64"]


def test_a_known_drift_costs_no_further_look(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = contract()
    told: list[Drift] = []
    decode = batch_decoder(declared, "load", told.append)
    message = Message("sub", declared.topic, "1", event(ROW | {"new": 1}), {}, '{"id0":7}', 5)
    decode([message] * LOOKS)
    monkeypatch.setattr("ingest.drift.watch.compare", None)
    assert len(decode([message] * 10).landings) == 10
    assert len(told) == 1


def test_a_retyped_value_is_told_though_the_names_are_the_contracts() -> None:
    result, told = decoded(contract(), [event(ROW), event(ROW | {"c_int64": "n/a"}), event(ROW)])
    assert len(result.landings) == 3
    assert [drift.change for drift in told] == [Change("type_changed", "c_int64", "int64", "string")]


@pytest.mark.parametrize(
    ("op", "after", "before", "missing"),
    [
        ("c", {"id0": 7}, None, True),
        ("r", {"id0": 7}, None, True),
        ("u", {"id0": 7}, None, False),
        ("d", None, {"id0": 7}, False),
    ],
)
def test_only_what_must_be_whole_misses_fields(op: str, after: Any, before: Any, missing: bool) -> None:
    result, told = decoded(contract(), [event(after, op, before=before)] * 3)
    assert len(result.landings) == 3
    assert bool(told) == missing
    assert all(drift.change.kind == "missing_field" for drift in told)


@pytest.mark.parametrize("row", [ROW | {"new": 1}, {"id0": 7}, ROW | {"c_int64": "abc"}])
def test_strict_refuses_what_does_not_fit_and_nothing_else(row: dict[str, Any]) -> None:
    result, told = decoded(contract("strict"), [event(ROW), event(row), event(row), event(None, "d", before=ROW)])
    assert [landing.message.event_id for landing in result.landings] == ["0", "3"]
    assert [(message.event_id, error.reason) for message, error in result.refused] == [
        ("1", "schema_drift"), ("2", "schema_drift")
    ]  # fmt: skip
    assert told
    assert "abc" not in str(result.refused[0][1])


def test_ignore_lands_everything_and_tells_nothing() -> None:
    bodies = [event(ROW | {"new": 1}), event({"id0": 7}), event(ROW | {"c_int64": "abc"})]
    result, told = decoded(contract("ignore"), bodies * 3)
    assert (len(result.landings), told) == (9, [])


@pytest.mark.parametrize("drift", ["strict", "allow_new", "ignore"])
@given(rows=st.lists(st.dictionaries(st.sampled_from([*ROW, "new", "newer"]), json_values, max_size=9), max_size=5))
def test_no_message_is_lost_in_any_mode(drift: Any, rows: list[dict[str, Any]]) -> None:
    result, told = decoded(contract(drift), [event({"id0": 7} | row) for row in rows])
    assert len(result.landings) + len(result.refused) == len(rows)
    if drift == "strict":
        assert all(not compare(contract(), json.loads(one.row.payload or b""), is_full=True) for one in result.landings)
        assert all(error.reason in ("schema_drift", "invalid_key", "missing_key") for _, error in result.refused)
    elif drift == "ignore":
        assert not told


@pytest.mark.parametrize("wire_format", ["plain", "auto", "maxwell"])
def test_every_dialect_is_watched(wire_format: Any) -> None:
    row = ROW | {"new": 1}
    body: dict[str, Any] = {"plain": row | {"op": "c"}, "auto": json.loads(event(row))}.get(
        wire_format, {"database": "d", "table": "t", "type": "insert", "ts": 5, "position": "bin.01:5", "data": row}
    )
    declared = contract(wire_format=wire_format, pattern="event" if wire_format != "plain" else "upsert")
    result, told = decoded(declared, [json.dumps(body).encode()])
    assert len(result.landings) == 1, result.refused
    assert "new" in [drift.change.field for drift in told]


def test_a_source_whose_every_row_has_names_of_its_own_floods_nothing() -> None:
    result, told = decoded(contract(), [event(ROW | {f"new{number}": 1}) for number in range(MAX_TOLD + 50)])
    assert (len(result.landings), len(told)) == (MAX_TOLD + 50, MAX_TOLD)


# What is written down.


@given(json_values)
def test_a_masked_value_shows_nothing_of_itself(value: Any) -> None:
    assert masked(value).rstrip("0123456789()") in ("null", "boolean", "number", "string", "array", "object")


def test_only_columns_without_personal_data_are_shown() -> None:
    columns = [replace(one, pii="name") if one.name == "c_string" else one for one in contract().columns]
    declared = replace(contract(), columns=tuple(columns))

    def shown(change: Change, value: object) -> str | None:
        return sample(Drift(declared, change, value, "f", "1"))

    assert shown(Change("type_changed", "c_string", "string", "json"), ["secret"]) == "array(1)"
    assert shown(Change("new_field", "new", None, "string"), "secret") == "string(6)"
    assert shown(Change("type_changed", "c_int64", "int64", "string"), "n/a") == '"n/a"'
    assert len(shown(Change("type_changed", "c_int64", "int64", "string"), "x" * 500) or "") == 201
    assert shown(Change("missing_field", "c_bool", "bool", None), None) is None


def test_a_row_of_the_audit_says_it_all() -> None:
    drift = Drift(contract(), Change("type_changed", "c_int64", "int64", "string"), "n/a", "f" * 16, "77")
    row = SCHEMA_DRIFT_TYPE.message_class.FromString(drift_row(drift, 5, "load"))
    assert (row.table_name, row.change, row.field, row.expected_type, row.seen_type) == (
        "t", "type_changed", "c_int64", "int64", "string"
    )  # fmt: skip
    assert (row.sample, row.schema_fingerprint, row.first_seen, row.event_id, row.load_id) == (
        '"n/a"', "f" * 16, 5, "77", "load"
    )  # fmt: skip


def test_a_refusal_is_a_decode_error() -> None:
    result, _ = decoded(contract("strict"), [event(ROW | {f"n{number}": 1 for number in range(8)})])
    [(_, error)] = result.refused
    assert isinstance(error, DecodeError)
    assert "and 3 more" in str(error)
