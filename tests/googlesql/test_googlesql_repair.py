"""Repair statements, read by GoogleSQL's own analyzer, and their literals by its evaluator."""

import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from googlesql import Catalog, evaluate_text
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import TableContract
from reconcile.repair.differences import Row
from reconcile.repair.literals import SQL_TYPES, typed_literal
from reconcile.repair.place import held_statement, place_statement
from reconcile.repair.statements import Target, repair_statements
from reconcile.result import ColumnResult

_AT = datetime(2026, 1, 5, 7, 0, 0, 1)
_VALUES: dict[str, Any] = {
    "int64": -7,
    "numeric": Decimal("1.500000001"),
    "bignumeric": "1.5",
    "float64": math.nan,
    "bool": True,
    "string": "o'neil\n\\ \u0000 ü",
    "bytes": b"\xff\x00",
    "date": date(2026, 1, 5),
    "datetime": _AT,
    "time": time(7, 0, 0, 1),
    "timestamp": _AT.replace(tzinfo=UTC),
    "json": '{"a": "it\'s", "b": [1, null]}',
    "array<string>": ["a'", "b"],
    "array<int64>": [1, 2],
}


def _target(tombstone: str | None) -> Target:
    columns = [
        ColumnResult("id", "id", "int64", True, "exact", 0),
        ColumnResult("day", "day", "date", True, "exact", 0),
    ]
    columns += [ColumnResult(f"c{n}", f"c{n}", kind, False, "exact", 0) for n, kind in enumerate(SQL_TYPES)]
    return Target("a-project", "structure", "things", tuple(columns), tombstone)


@pytest.mark.parametrize("tombstone", [None, "is_deleted"])
def test_statements_over_every_type_are_valid_googlesql(tombstone: str | None) -> None:
    target = _target(tombstone)
    full = {"id": 1, "day": date(2026, 1, 5)} | {f"c{n}": _VALUES[kind] for n, kind in enumerate(SQL_TYPES)}
    bare = dict.fromkeys(full) | {"id": 2}
    names = frozenset(name for name in full if name.startswith("c"))
    rows = [
        Row("missing", frozenset(), None, full),
        Row("missing", frozenset(), None, bare),
        Row("extra", frozenset(), full, None),
        Row("changed", names, full, bare),
        Row("changed", frozenset({"c0"}), full, bare),
    ]
    catalog = Catalog("a-project")
    columns = {column.name: column.data_type for column in target.columns} | {"is_deleted": "bool"}
    catalog.add("structure", "things", columns)
    # BigQuery takes a path in one pair of backticks; the analyzer takes one name in each.
    quoted, parts = "`a-project.structure.things`", "`a-project`.structure.things"
    statements = [statement.replace(quoted, parts) for statement in repair_statements(target, rows)]
    assert len(statements) == 4
    assert [catalog.analyze(statement) for statement in statements] == [None] * 4
    assert any(statement.endswith("then delete") for statement in statements) == (tombstone is None)


def test_a_statement_stays_short_enough_for_bigquery() -> None:
    column = ColumnResult("note", "note", "string", False, "exact", 0)
    target = Target("a-project", "d", "t", (ColumnResult("id", "id", "int64", True, "exact", 0), column), None)
    rows = [Row("missing", frozenset(), None, {"id": n, "note": "ü" * 50_000}) for n in range(30)]
    statements = list(repair_statements(target, rows))
    assert len(statements) > 5
    assert all(len(statement.encode()) < 1_000_000 for statement in statements)
    assert sum(statement.count("'ü") for statement in statements) == 30


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=20), st.floats(), st.integers(-(2**63), 2**63 - 1), st.datetimes(datetime(1, 1, 2)))
def test_a_literal_evaluates_to_its_value(text: str, number: float, whole: int, at: datetime) -> None:
    told = json.loads(
        evaluate_text(
            "select to_json_string(struct("
            f"to_code_points({typed_literal(text, 'string')}) as t, "
            f"cast({typed_literal(number, 'float64')} as string) as f, "
            f"cast(ieee_divide(1, {typed_literal(number, 'float64')}) as string) as s, "
            f"cast({typed_literal(whole, 'int64')} as string) as i, "
            f"unix_micros({typed_literal(at, 'timestamp')}) as u, "
            f"cast({typed_literal(at, 'datetime')} as string) as d))"
        )
    )
    assert "".join(map(chr, map(int, told["t"] or ()))) == text
    found = float(told["f"])
    assert found == number or (math.isnan(found) and math.isnan(number))
    # As text both zeros are 0; what one divided by them is tells their signs.
    assert number != 0 or float(told["s"]) == math.copysign(math.inf, number)
    assert int(told["i"]) == whole
    since = at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert int(told["u"]) == (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert datetime.fromisoformat(told["d"]) == at


def test_the_queries_for_a_place_in_the_log_are_valid_googlesql() -> None:
    target, at = _target("is_deleted"), _AT.replace(tzinfo=UTC)
    catalog = Catalog("a-project")
    placed = {"_source_position": "string", "_source_sequence": "int64", "_source_ts": "timestamp"}
    catalog.add("structure", "things", {column.name: column.data_type for column in target.columns} | placed)
    catalog.add("raw", "things", placed | {"_ingestion_ts": "timestamp"})
    rows = [Row("extra", frozenset(), {"id": n, "day": date(2026, 1, n)}, None) for n in (1, 2)]
    contract = TableContract(
        name="things", source="shop", dataset="raw", description="", owner="", wire_format="debezium", topic="t",
        notification_topic=None, api_path=None, columns=(),
    )  # fmt: skip
    place = place_statement("a-project", contract)
    for name in ("@taken_at", "@landed_by"):
        place = place.replace(name, typed_literal(at, "timestamp"))
    for statement in (place, held_statement(target, 0, rows, at), held_statement(target, 0, rows, None)):
        named = statement.replace("`a-project.structure.", "`a-project`.`structure`.`")
        named = named.replace("`a-project.raw.", "`a-project`.`raw`.`")
        assert catalog.analyze(named) is None, named
