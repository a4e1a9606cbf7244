"""The pairs of rows that tools get wrong, told apart or called alike by the hashes that BigQuery is asked for."""

from googlesql import evaluate_text

from bench.torture import Case, cases
from reconcile.pushdown.forms import has_form, row_hash
from reconcile.repair.literals import typed_literal

JUDGED = [
    case
    for case in cases()
    if len(case.warehouse) == len(case.snapshot) == 1
    # What has no form that is spelled alike everywhere is not pushed down, but read.
    and all(map(has_form, case.types.values()))
]


def _is_alike(case: Case) -> str:
    """Return the GoogleSQL of whether both rows have one hash."""
    sides = (
        [(kind, typed_literal(value, kind)) for kind, value in zip(case.types.values(), rows[0], strict=True)]
        for rows in (case.warehouse, case.snapshot)
    )
    left, right = (row_hash(fields, "googlesql") for fields in sides)
    return f"cast({left} = {right} as string)"


def test_bigquery_hashes_alike_exactly_the_rows_that_are_equal() -> None:
    # The literals are constants: in one statement, for a start of the evaluator costs more than all of them.
    told = evaluate_text(f"select array_to_string([{', '.join(map(_is_alike, JUDGED))}], ',')").split(",")
    assert len(JUDGED) > 70
    assert [case.words for case, alike in zip(JUDGED, told, strict=True) if (alike == "true") != case.is_equal] == []
