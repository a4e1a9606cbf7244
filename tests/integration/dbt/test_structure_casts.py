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


@pytest.fixture(scope="module")
def cast() -> Callable[[str, str], str]:
    """The macro, rendered without dbt."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701
    text = (ROOT / "macros/cdc/cast.sql").read_text(encoding="utf-8")
    module: Any = environment.from_string(text).module
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
