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

# A macro's argument is written out, and bound, wherever it is named. So a value's text is made once and goes through
# a lambda, where it is a name, and one that no table of a statement has: a statement with sixteen of these calls took
# DuckDB 54 ms to bind without it, now 15. The conditions of a MERGE cannot hold a lambda; DuckDB 1.5 says "Unrecognized
# expression type in logical operator visitor".
_BY_LAMBDA: Final = """list_transform(
    [{'kind': typeof(x), 'text': bq_string(x)}], lambda bq_value: bq_json_of(bq_value.kind, bq_value.text)
)[1]"""
_WRITTEN_OUT: Final = "bq_json_of(typeof(x), bq_string(x))"


# What needs none of that is most of what is asked for: of a macro that is declared twice DuckDB binds the one whose
# parameter fits best, and so of a text nothing but its quotes. JSON would count as text, and is its own.
def _macros(name: str, scalar: str) -> tuple[str, str]:
    of_a_kind = f"""{name}_of(x) as case
        when x is null then 'null'
        when typeof(x) = 'BLOB' then '"' || to_base64(bq_bytes(x)) || '"'
        when typeof(x) like 'DECIMAL%)' or typeof(x) in (
            'BIGINT', 'INTEGER', 'HUGEINT', 'DOUBLE', 'FLOAT', 'TIME', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE'
        )
            then {scalar}
        else cast(to_json(x) as varchar)
    end, (x varchar) as coalesce(cast(to_json(x) as varchar), 'null')"""
    return (
        of_a_kind,
        f"""{name}(x) as case
        when typeof(x) = 'JSON' then coalesce(cast(x as varchar), 'null')
        else {name}_of(x)
    end""",
    )


MACROS = (
    f"""bq_json_of(kind, text) as case
        when kind in ('DOUBLE', 'FLOAT') then case
            when isfinite(try_cast(text as double)) then text
            else '"' || replace(text, 'inf', 'Infinity') || '"'
        end
        when starts_with(kind, 'TIME')
            then '"' || regexp_replace(replace(text, ' ', 'T'), '[+]00(?::00)?$', 'Z') || '"'
        when contains(text, '.') or abs(try_cast(text as hugeint)) > {_EXACT_IN_JAVASCRIPT} then '"' || text || '"'
        else text
    end""",
    *_macros("bq_to_json_string", _BY_LAMBDA),
    *_macros("bq_to_json_string_in_merge", _WRITTEN_OUT),
)


def _is_text_of_json(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Cast) or not node.to.is_type(exp.DType.TEXT) or node.this.name.lower() != "to_json":
        return False
    # TO_JSON, and the emulator's own functions, which take a value as JSON
    return not isinstance(node.parent, exp.Cast | exp.Anonymous)


def _json_text(node: exp.Expr) -> exp.Expr:
    name = "bq_to_json_string_in_merge" if node.find_ancestor(exp.Merge) else "bq_to_json_string"
    return call(name, *node.this.expressions)


RULES = (Rule("TO_JSON_STRING", _is_text_of_json, _json_text),)
