r"""FROM_BASE64 reads texts without padding, and with white space between the letters.

DuckDB refuses both. MIME breaks its lines, and JSON Web Tokens have no padding: such bytes would be null here.

Source: GoogleSQL string functions, "FROM_BASE64"; RFC 4648, section 3.2.
"""

from __future__ import annotations

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

MACROS = (
    r"bq_base64_letters(x) as regexp_replace(cast(x as varchar), '\s', '', 'g')",
    # padding that is given must be right
    """bq_from_base64(x) as from_base64(case
        when contains(cast(x as varchar), '=') then bq_base64_letters(x)
        else bq_base64_letters(x) || repeat('=', (4 - length(bq_base64_letters(x)) % 4) % 4)
    end)""",
)

RULES = (
    Rule(
        "FROM_BASE64",
        lambda node: isinstance(node, exp.FromBase64),
        lambda node: call("bq_from_base64", node.this),
    ),
)
