"""Decimal literals get an exponent, and nothing else does."""

from __future__ import annotations

import pytest

from devstack.bigquery.shims.decimal_literals import with_exponents


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        ("select 3.25, -1.5", "select 3.25e0, -1.5e0"),
        ("select 3.25e0, a_3.25, 1, t.1", "select 3.25e0, a_3.25, 1, t.1"),
        (
            "select '3.25', \"3.25\", 'it\\'s 3.25', 'it''s 3.25'",
            "select '3.25', \"3.25\", 'it\\'s 3.25', 'it''s 3.25'",
        ),
        ("select /* the row's 1.5 */ 1.5, '10:00:00.25'", "select /* the row's 1.5 */ 1.5e0, '10:00:00.25'"),
        ("select -- the row's\n'10:00:00.25', 2.5", "select -- the row's\n'10:00:00.25', 2.5e0"),
    ],
)
def test_literals_are_told_from_texts_and_comments(sql: str, written: str) -> None:
    assert with_exponents(sql) == written
