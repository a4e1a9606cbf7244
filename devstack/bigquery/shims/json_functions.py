"""JSON functions on texts that are no JSON, and on values that are no arrays.

JSON_VALUE and its kin return NULL for what they cannot read; the emulator fails the whole statement, so one
malformed payload stops every model above it.

Source: GoogleSQL JSON functions.
"""

from __future__ import annotations

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

MACROS = (
    "bq_json_elements(j) as case when json_type(j) = 'ARRAY' then cast(j as json[]) end",
    """bq_json_strings(j) as case
        when not list_has_any(
            list_transform(bq_json_elements(j), lambda element: json_type(element)), ['OBJECT', 'ARRAY']
        )
            then list_transform(bq_json_elements(j), lambda element: json_extract_string(element, '$'))
    end""",
)


def _may_fail(node: exp.Expr) -> bool:
    # DuckDB cannot try a subquery.
    return isinstance(node, exp.JSONExtract | exp.JSONExtractScalar) and node.find(exp.Select) is None


def _tried(node: exp.Expr) -> exp.Expr:
    tried = exp.Try(this=node.copy())
    # JSON_QUERY gives text, as in the emulator's own rule for it, which this one precedes.
    return tried if isinstance(node, exp.JSONExtractScalar) else exp.cast(tried, exp.DType.TEXT)


def _is_array_of(node: exp.Expr, element: exp.DType) -> bool:
    if not isinstance(node, exp.Cast) or not node.to.is_type(exp.DType.ARRAY):
        return False
    elements = node.to.expressions
    return bool(elements) and elements[0].this == element and node.this.find(exp.JSONExtract) is not None


RULES = (
    Rule("JSON_PATHS", _may_fail, _tried),
    Rule(
        "JSON_VALUE_ARRAY",
        lambda node: _is_array_of(node, exp.DType.TEXT),
        lambda node: call("bq_json_strings", node.this),
    ),
    Rule(
        "JSON_QUERY_ARRAY",
        lambda node: _is_array_of(node, exp.DType.JSON),
        lambda node: call("bq_json_elements", node.this),
    ),
)
