r"""TRIM, LTRIM and RTRIM take off all that Unicode calls white space.

DuckDB takes off spaces alone: a name that ends in a tab, or stands in the no-break spaces of a copied web page, would
keep them here and lose them in production; keys and rules about empty texts depend on it.

Source: GoogleSQL string functions, "TRIM"; Unicode's PropList.txt, "White_Space".
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_BLANKS: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_NAMES: Final = {"LEADING": "bq_ltrim", "TRAILING": "bq_rtrim"}

MACROS = (
    f"bq_trim(x) as trim(cast(x as varchar), '{_BLANKS}')",
    f"bq_ltrim(x) as ltrim(cast(x as varchar), '{_BLANKS}')",
    f"bq_rtrim(x) as rtrim(cast(x as varchar), '{_BLANKS}')",
)

RULES = (
    Rule(
        "TRIM_BLANKS",
        lambda node: isinstance(node, exp.Trim) and node.expression is None,
        lambda node: call(_NAMES.get(str(node.args.get("position")), "bq_trim"), node.this),
    ),
)
