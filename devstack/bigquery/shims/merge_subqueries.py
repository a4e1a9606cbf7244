"""Refuses a MERGE whose conditions or values ask a subquery about the row at hand.

BigQuery does; DuckDB runs it. A merge that looks into an array of its row would be green here and fail in production,
as GoogleSQL's analyzer, which knows the language and not the service, lets it pass, too.

Source: BigQuery, "Data manipulation language", limitations: "Correlated subqueries within a when_clause,
search_condition, merge_update_clause or merge_insert_clause are not supported for MERGE statements".
"""

from __future__ import annotations

import re

from bqemulator.domain.errors import InvalidQueryError
from sqlglot import exp

from devstack.bigquery.shims.statements import Mend, Scope, parsed

_MESSAGE = "Correlated subqueries are not supported in the conditions and clauses of a MERGE"
_CLAUSES = re.compile(r"\bwhen\s+(?:not\s+)?matched\b", re.IGNORECASE)
_CONDITION = re.compile(r"\bon\b", re.IGNORECASE)
_QUERY = re.compile(r"\bselect\b", re.IGNORECASE)


def has_correlated_subquery(merge: exp.Merge) -> bool:
    """Tell whether a merge asks a subquery about the rows it has matched.

    Args:
        merge: the statement's syntax tree, in GoogleSQL.

    Returns:
        True when a subquery of its condition or of one of its clauses names the target or the source.
    """
    matched = {merge.this.alias_or_name.lower(), merge.args["using"].alias_or_name.lower()}
    parts = (merge.args["on"], *merge.args["whens"].expressions)
    return any(
        column.table.lower() in matched
        for part in parts
        for query in part.find_all(exp.Select)
        for column in query.find_all(exp.Column)
    )


def _refuse(sql: str, scope: Scope) -> None:  # noqa: ARG001 - what a mend takes
    # most merges hold no query there, which can be seen without parsing what they merge from
    clauses = _CLAUSES.search(sql)
    if clauses is None:
        return
    condition = _CONDITION.split(sql[: clauses.start()])[-1]
    if not _QUERY.search(condition + sql[clauses.start() :]):
        return
    merge = parsed(sql)
    if isinstance(merge, exp.Merge) and has_correlated_subquery(merge):
        raise InvalidQueryError(_MESSAGE)


MEND = Mend(words=("merge",), rewrite=_refuse)
