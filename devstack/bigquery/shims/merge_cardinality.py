"""Refuses a MERGE that matches one target row with several source rows.

BigQuery does; DuckDB applies one of them, whichever. A model whose source is not unique would be green here and
fail in production.

Source: GoogleSQL data manipulation language, "MERGE statement": "If a row in the table to be updated joins with
more than one row from the FROM clause, then the query generates a runtime error".
"""

from __future__ import annotations

from typing import Any

import sqlglot
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp

_MESSAGE = "UPDATE/MERGE must match at most one source row for each target row"


def ambiguous_matches(merge: exp.Merge) -> exp.Select | None:
    """Build the query that finds a target row with several matches.

    Args:
        merge: a MERGE in DuckDB's syntax.

    Returns:
        The query, which has a row when there is one; None when nothing can match (`on false`).
    """
    conditions = [
        clause.args.get("condition") or exp.true()
        for clause in merge.args["whens"].expressions
        if clause.args.get("matched") and not clause.args.get("source")
    ]
    if not conditions or merge.args["on"] == exp.false():
        return None
    target, source = merge.this.copy(), merge.args["using"].copy()
    row = exp.column("rowid", table=target.alias_or_name, quoted=True)
    query = exp.select("1").from_(target).join(source, on=merge.args["on"].copy(), copy=False)
    query = query.where(exp.or_(*[condition.copy() for condition in conditions]), copy=False)
    return query.group_by(row, copy=False).having("count(*) > 1", copy=False).limit(1, copy=False)


def apply() -> None:
    """Look before every MERGE that runs without parameters; dbt binds none."""
    fetch = DuckDBEngine.fetch_arrow

    def fetch_checked(engine: DuckDBEngine, sql: str, parameters: list[Any] | None = None) -> Any:
        if sql[:5].upper() == "MERGE" and not parameters:
            merge = sqlglot.parse_one(sql, read="duckdb")
            query = ambiguous_matches(merge) if isinstance(merge, exp.Merge) else None
            if query is not None and engine.execute(query.sql(dialect="duckdb")).fetchone():
                raise InvalidQueryError(_MESSAGE)
        return fetch(engine, sql, parameters)

    DuckDBEngine.fetch_arrow = fetch_checked
