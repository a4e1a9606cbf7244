"""TO_JSON_STRING writes scalars as GoogleSQL does.

DuckDB pads a NUMERIC to its scale, shows BYTES as escapes, writes instants with a blank, and gives NULL for NULL. The
versions of a snapshot are told by these texts.

Source: GoogleSQL JSON functions, "TO_JSON_STRING" and "JSON encodings".
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_EXACT_IN_JAVASCRIPT: Final = 9007199254740992

MACROS = (
    f"""bq_json_number(x) as case
        when contains(bq_string(x), '.') or abs(try_cast(bq_string(x) as hugeint)) > {_EXACT_IN_JAVASCRIPT}
            then '"' || bq_string(x) || '"'
        else bq_string(x)
    end""",
    """bq_json_float(x) as case
        when isfinite(try_cast(cast(x as varchar) as double)) then bq_string(x)
        else '"' || replace(bq_string(x), 'inf', 'Infinity') || '"'
    end""",
    """bq_to_json_string(x) as case
        when x is null then 'null'
        when typeof(x) = 'BLOB' then '"' || to_base64(bq_bytes(x)) || '"'
        when typeof(x) like 'DECIMAL%)' or typeof(x) in ('BIGINT', 'INTEGER', 'HUGEINT') then bq_json_number(x)
        when typeof(x) in ('DOUBLE', 'FLOAT') then bq_json_float(x)
        when typeof(x) in ('TIMESTAMP', 'TIMESTAMP WITH TIME ZONE')
            then '"' || regexp_replace(replace(bq_string(x), ' ', 'T'), '[+]00(?::00)?$', 'Z') || '"'
        else cast(to_json(x) as varchar)
    end""",
)


def _is_text_of_json(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Cast) or not node.to.is_type(exp.DType.TEXT) or node.this.name.lower() != "to_json":
        return False
    # TO_JSON, and the emulator's own functions, which take a value as JSON
    return not isinstance(node.parent, exp.Cast | exp.Anonymous)


RULES = (
    Rule(
        "TO_JSON_STRING",
        _is_text_of_json,
        lambda node: call("bq_to_json_string", *node.this.expressions),
    ),
)
