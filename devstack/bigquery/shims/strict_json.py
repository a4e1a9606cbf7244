r"""PARSE_JSON refuses what is no JSON: NaN, Infinity, a comma before the end, a number beyond every FLOAT64.

DuckDB reads all of these. Python's `json.dumps` writes the first two: such an image would reach structure here, and
quarantine in production.

A quick look at the text finds what might be one of them; only then are the texts within it left out for a second look.

Source: GoogleSQL JSON functions, "PARSE_JSON"; RFC 8259.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_NO_NUMBER: Final = r"(?:^|[:,\[\s+-])(?:[nN][aA][nN]|[iI][nN][fF])"
_BEYOND: Final = r"[0-9][eE][+]?0*(?:309|3[1-9][0-9]|[4-9][0-9][0-9]|[1-9][0-9]{3,})"
_LOOSE: Final = rf"{_NO_NUMBER}|,\s*[\]}}]|{_BEYOND}"
_TEXTS: Final = r'"(?:[^"\\]|\\.)*"'

# Within the lambda the text may stand several times. Outside, DuckDB would work out what is common to them before the
# `TRY` of SAFE.PARSE_JSON, and fail there.
MACROS = (
    f"""bq_is_loose_json(x) as regexp_matches(x, '{_LOOSE}')
        and regexp_matches(regexp_replace(x, '{_TEXTS}', '""', 'g'), '{_LOOSE}')""",
    """bq_strict_json(x) as case when bq_is_loose_json(x) then 'no JSON' else x end""",
    """bq_parse_json(x) as json(list_transform([x], lambda given: bq_strict_json(cast(given as varchar)))[1])""",
)

RULES = (
    Rule("PARSE_JSON", lambda node: isinstance(node, exp.ParseJSON), lambda node: call("bq_parse_json", node.this)),
)
