"""Every type is read from every form in which it may come, and what cannot be read is null, never an error."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import jinja2
import pytest
from structure_warehouse import ROOT, Warehouse

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MARKER = "__debezium_unavailable_value"
MARKER_BASE64 = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="

FORMS: dict[str, list[tuple[str, Any]]] = {
    "int64": [
        ("7", 7),
        ('"7"', 7),
        ("9007199254740993", 9007199254740993),
        ("-9223372036854775808", -(2**63)),
        ('"x"', None),
        ("9223372036854775808", None),
    ],
    "numeric": [
        ('"12345678901234567890123456789.123456789"', Decimal("12345678901234567890123456789.123456789")),
        ("1.10", Decimal("1.10")),
        ('"1E+2"', Decimal(100)),
        ('"-0.000000001"', Decimal("-0.000000001")),
        ('"NaN"', None),
        ('"abc"', None),
    ],
    "float64": [
        ("1.5", 1.5),
        ("3", 3.0),
        ("1e300", 1e300),
        ('"Infinity"', float("inf")),
        ('"-Infinity"', float("-inf")),
        ('"x"', None),
    ],
    "bool": [("true", True), ('"false"', False), ("1", True), ("0", False), ('"t"', True), ('"maybe"', None)],
    "string": [('"x"', "x"), ('""', ""), ('"a\\"b\\u00e9"', 'a"bé'), ("5", "5"), (f'"{MARKER}"', None)],
    "bytes": [('"3q2+7w=="', b"\xde\xad\xbe\xef"), ('""', b""), ('"!"', None), (f'"{MARKER_BASE64}"', None)],
    "date": [
        ("7338", date(1990, 2, 3)),
        ("-1", date(1969, 12, 31)),
        ("0", date(1970, 1, 1)),
        ('"1990-02-03"', date(1990, 2, 3)),
        ('"1990-02-03T00:00:00Z"', date(1990, 2, 3)),
        ("2147483647", None),
        ('"soon"', None),
    ],
    "time": [
        ("11045678901", MOMENT.time()),
        ('"03:04:05.678901"', MOMENT.time()),
        ('"03:04:05Z"', time(3, 4, 5)),
        ("86400000000", None),
        ('"x"', None),
    ],
    "datetime": [
        ("1767323045678901", MOMENT.replace(tzinfo=None)),
        ('"2026-01-02T03:04:05.678901"', MOMENT.replace(tzinfo=None)),
        ('"2026-01-02T03:04:05Z"', datetime(2026, 1, 2, 3, 4, 5)),
        ('"x"', None),
    ],
    "timestamp": [
        ("1767323045678901", MOMENT),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ('"2026-01-02T03:04:05.678901Z"', MOMENT),
        ('"2026-01-02T03:04:05.678901999Z"', MOMENT),
        ('"2026-01-02T05:04:05.678901+02:00"', MOMENT),
        ('"2026-01-02 03:04:05.678901"', MOMENT),
        ("999999999999999999", None),
        ("99999999999999999999", None),
        ('"then"', None),
    ],
    "json": [
        ('"{\\"a\\": [1, null]}"', {"a": [1, None]}),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("[1, 2]", [1, 2]),
        ('"[]"', []),
        ('"plain"', "plain"),
        ("5", 5),
        (f'"{MARKER}"', None),
    ],
    "array<string>": [
        ('["a", "b"]', ["a", "b"]),
        ('["a", null]', ["a"]),
        ('"[\\"q\\"]"', ["q"]),
        ("[]", []),
        ('"x"', []),
        ('{"a": 1}', []),
        (f'["{MARKER}"]', []),
        (f'"{MARKER}"', []),
    ],
    "array<int64>": [("[1, 2]", [1, 2]), ('["1", "x"]', [1])],
}


NOT_CAST = "does_not_cast"
SCALAR = {'{"a": 1}': "is_no_scalar", "[1]": "is_no_scalar"}
FAULTS: dict[str, dict[str, str]] = {
    "int64": SCALAR | {'"x"': NOT_CAST, "9223372036854775808": "out_of_range", "1.5": NOT_CAST},
    "numeric": SCALAR | {'"NaN"': NOT_CAST, '"abc"': NOT_CAST, '"1e40"': "out_of_range"},
    "float64": SCALAR | {'"x"': NOT_CAST},
    "bool": SCALAR | {'"maybe"': NOT_CAST, "2": NOT_CAST},
    "string": SCALAR,
    "bytes": SCALAR | {'"!"': NOT_CAST},
    "date": SCALAR | {"2147483647": "out_of_range", '"soon"': NOT_CAST, '"2026-02-30"': "invalid_date"},
    "time": SCALAR | {"86400000000": "out_of_range", '"x"': NOT_CAST},
    "datetime": SCALAR | {'"x"': NOT_CAST, '"2026-13-01T00:00:00"': "invalid_date"},
    "timestamp": SCALAR
    | {
        "999999999999999999": "out_of_range",
        "99999999999999999999": "out_of_range",
        '"then"': NOT_CAST,
        '"2026-02-30T00:00:00Z"': "invalid_date",
        '"2026-02-01T25:00:00Z"': NOT_CAST,
    },
    "json": {},
    "array<string>": {'"x"': "is_no_array", '{"a": 1}': "is_no_array", '[["a"]]': "is_no_array"},
    "array<int64>": {'["1", "x"]': "element_does_not_cast", '["9223372036854775808"]': "element_does_not_cast"},
}
"""Why each form that tells a value is not one of the type; all other forms of the type are."""


def macros() -> Any:
    """The macros of casts and faults, rendered without dbt."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    texts = ((ROOT / f"macros/cdc/{name}.sql").read_text(encoding="utf-8") for name in ("cast", "faults"))
    return environment.from_string("".join(texts)).module


@pytest.fixture(scope="module")
def cast() -> Callable[[str, str], str]:
    """The macro, rendered without dbt."""
    module = macros()
    return lambda column, data_type: str(module.cdc_cast(column, data_type))


@pytest.mark.parametrize("data_type", FORMS)
def test_every_form_is_read(structure_warehouse: Warehouse, cast: Callable[[str, str], str], data_type: str) -> None:
    empty: Any = [] if data_type.startswith("array") else None
    forms = [*FORMS[data_type], ("null", empty)]
    images = " union all ".join(
        f"select {n} as n, r'''{{\"c\": {form}}}''' as _image" for n, (form, _) in enumerate(forms)
    )
    query = f"select n, {cast('c', data_type)} as found from ({images}) order by n"
    found = [row["found"] for row in structure_warehouse.client.query_and_wait(query)]
    assert {form: value for (form, _), value in zip(forms, found, strict=True)} == dict(forms)


def test_an_absent_column_is_null(structure_warehouse: Warehouse, cast: Callable[[str, str], str]) -> None:
    columns = ", ".join(f"{cast('c', data_type)} as c{n}" for n, data_type in enumerate(FORMS))
    (row,) = structure_warehouse.client.query_and_wait(f"select {columns} from (select '{{}}' as _image)")
    assert [value or None for value in row.values()] == [None] * len(FORMS)


@pytest.mark.parametrize("data_type", FORMS)
def test_every_form_that_is_lost_is_a_fault_and_no_other(structure_warehouse: Warehouse, data_type: str) -> None:
    forms = sorted({form for form, _ in FORMS[data_type]} | FAULTS[data_type].keys() | {"null"})
    images = " union all ".join(f"""select r'''{form}''' as form, r'''{{"c": {form}}}''' as _image""" for form in forms)
    module = macros()
    found = structure_warehouse.client.query_and_wait(f"""
        with

        images as ({images}),

        texts as (select form, '{data_type}' as data_type, json_query(_image, '$.c') as json_text from images),

        told as (select *, json_value(json_text, '$') as text from texts where {module.cdc_is_told("json_text")})

        select form, {module.cdc_fault("told")} as reason from told
    """)
    assert {row["form"]: row["reason"] for row in found if row["reason"]} == FAULTS[data_type]
    unread = {form for form, value in FORMS[data_type] if value is None and MARKER not in form}
    assert unread - {f'"{MARKER_BASE64}"'} <= FAULTS[data_type].keys()
