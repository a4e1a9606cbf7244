"""The canonical key is one text per row, however a system spells its values."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Column, DataType, TableContract
from core.errors import ContractError, DecodeError
from ingest.keys import key_encoder


def contract(*types: DataType) -> TableContract:
    columns = tuple(Column(f"k{n}", data_type, "key", True, False, None, ()) for n, data_type in enumerate(types))
    return TableContract("t", "s", "raw", "d", "o", "debezium", "p.s.t", None, None, columns)


def key(data_type: DataType, value: object) -> str:
    return key_encoder(contract(data_type))({"k0": value}).decode()


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_is_the_same_as_number_and_as_text(value: int) -> None:
    assert key("int64", value) == key("int64", str(value)) == f'{{"k0":{value}}}'


@given(st.text().filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text)))
def test_text_survives(value: str) -> None:
    assert json.loads(key("string", value)) == {"k0": value}


@given(st.dates())
def test_a_date_is_the_same_as_days_and_as_text(value: date) -> None:
    days = (value - date(1970, 1, 1)).days
    assert key("date", days) == key("date", value.isoformat()) == f'{{"k0":"{value.isoformat()}"}}'


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_is_the_same_as_microseconds_and_as_text(value: datetime) -> None:
    micros = (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert key("timestamp", micros) == key("timestamp", text) == f'{{"k0":"{text}"}}'


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20))
def test_a_number_has_one_text(value: Decimal) -> None:
    canonical = json.loads(key("numeric", str(value)))["k0"]
    assert Decimal(canonical) == value
    assert key("numeric", f"{value:f}000") == key("numeric", str(value))
    assert "E" not in canonical
    assert canonical != "-0"


def test_columns_stand_in_the_order_of_the_contract() -> None:
    encode = key_encoder(contract("int64", "string", "bool"))
    assert encode({"k2": True, "k1": "ü", "other": 1, "k0": 7}).decode() == '{"k0":7,"k1":"ü","k2":true}'


@pytest.mark.parametrize("row", [{}, {"k0": None}])
def test_a_missing_key_is_told(row: dict[str, object]) -> None:
    with pytest.raises(DecodeError) as caught:
        key_encoder(contract("int64"))(row)
    assert caught.value.reason == "missing_key"


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("int64", 2**63),
        ("int64", 1.0),
        ("int64", True),
        ("int64", "007"),
        ("int64", "../../admin"),
        ("int64", [1]),
        ("string", 7),
        ("bool", 1),
        ("numeric", "NaN"),
        ("numeric", "one"),
        ("numeric", "1E-999999"),
        ("numeric", "1E+999999"),
        ("numeric", 1.5),
        ("date", "yesterday"),
        ("date", 10**9),
        ("timestamp", "2026-01-02T03:04:05"),
        ("timestamp", 10**18),
    ],
)
def test_a_value_of_another_type_is_told_without_quoting_it(data_type: DataType, value: object) -> None:
    with pytest.raises(DecodeError) as caught:
        key(data_type, value)
    assert caught.value.reason == "invalid_key"
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize("data_type", ["float64", "json", "array<string>"])
def test_a_type_without_canonical_text_is_refused_at_start(data_type: DataType) -> None:
    with pytest.raises(ContractError, match="canonical"):
        key_encoder(contract(data_type))
