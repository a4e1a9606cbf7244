"""Every dbt unit test gives on GoogleSQL's reference evaluator what it gives on the local BigQuery."""

from dbt_statements import Recording
from googlesql import Row, evaluate, without

_SIDE = "actual_or_expected"


def test_every_unit_test_holds_on_both_engines(recording: Recording) -> None:
    queries = {s.node: s.sql for s in recording.statements if "dbt_internal_unit_test_actual" in s.sql}
    assert set(queries) == set(recording.tested) == set(recording.manifest.unit_tests)
    differences = {}
    for node, sql in queries.items():
        actual, expected = _sides(evaluate(sql))
        if actual != expected:
            differences[node] = (actual, expected)
    assert differences == {}


def test_a_wrong_expectation_is_seen(recording: Recording) -> None:
    sql = next(s.sql for s in recording.statements if "dbt_internal_unit_test_actual" in s.sql)
    head, union, expected = sql.rpartition("select * from dbt_internal_unit_test_expected")
    actual, wrong = _sides(evaluate(f"{head}{union} where false {expected}"))
    assert actual != wrong


def _sides(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    def side(name: str) -> list[Row]:
        return without((row for row in rows if name in dict(row)[_SIDE]), _SIDE)

    return side("actual"), side("expected")
