"""Casts between text, numbers and bytes as GoogleSQL does them.

DuckDB pads a NUMERIC to its scale (`1.100000000`), writes whole floats as `1.0`, rounds the text `1.5` to the
integer 2, and shows bytes in escapes. Keys, hashes and quarantine rules all depend on these.

Source: GoogleSQL conversion functions, "CAST".
"""

from __future__ import annotations

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_DOUBLE = "try_cast(cast(x as varchar) as double)"
_DIGITS = "regexp_extract(cast(x as varchar), '[.]([0-9]+)', 1)"

# Each branch goes through text, so that it compiles for a value of any type; typeof() is known at compile time,
# so only one branch is left to run. Fractions of a second are written in threes, trailing zeros in groups.
# Of a macro that is declared twice DuckDB binds the one whose parameter fits best, so a text costs next to nothing.
# JSON would count as text and is told apart before.
MACROS = (
    f"""bq_text_of(x) as case
        when typeof(x) like 'DECIMAL%' and contains(cast(x as varchar), '.')
            then rtrim(rtrim(cast(x as varchar), '0'), '.')
        when typeof(x) in ('DOUBLE', 'FLOAT') then case
            when isnan({_DOUBLE}) then 'NaN'
            when try_cast(format('{{:.15g}}', {_DOUBLE}) as double) = {_DOUBLE} then format('{{:.15g}}', {_DOUBLE})
            else format('{{:.17g}}', {_DOUBLE})
        end
        when typeof(x) = 'BLOB' then decode(cast(cast(x as varchar) as blob))
        when typeof(x) like 'TIME%' and {_DIGITS} != '' then regexp_replace(
            cast(x as varchar), '[.][0-9]+',
            '.' || rpad({_DIGITS}, case when length({_DIGITS}) <= 3 then 3 else 6 end, '0')
        )
        else cast(x as varchar)
    end, (x varchar) as x""",
    """bq_string(x) as case
        when typeof(x) = 'JSON' then json_extract_string(cast(x as varchar), '$')
        else bq_text_of(x)
    end""",
    """bq_is_integer(x) as
        typeof(x) != 'VARCHAR'
        or regexp_full_match(cast(x as varchar), '\\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\\s*')""",
    "bq_safe_int64(x) as case when bq_is_integer(x) then try_cast(x as bigint) end",
    """bq_int64(x) as case
        when x is null or bq_is_integer(x) then cast(x as bigint)
        else cast(error('Bad int64 value: ' || cast(x as varchar)) as bigint)
    end""",
    """bq_bytes(x) as case
        when typeof(x) = 'BLOB' then cast(cast(x as varchar) as blob)
        else encode(cast(x as varchar))
    end""",
)

_EXACT_IN_DUCKDB = {
    exp.DType.TEXT: {exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.BIGINT, exp.DType.INT, exp.DType.BOOLEAN},
    exp.DType.BIGINT: {exp.DType.BIGINT, exp.DType.INT, exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.BOOLEAN},
    exp.DType.VARBINARY: {exp.DType.VARBINARY},
}
_CALLS = {exp.DType.TEXT: ("bq_string", "bq_string"), exp.DType.VARBINARY: ("bq_bytes", "bq_bytes")}
_CALLS[exp.DType.BIGINT] = ("bq_int64", "bq_safe_int64")


def _is_inexact(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Cast) or node.to.this not in _EXACT_IN_DUCKDB:
        return False
    operand, target = node.this, node.to.this
    if operand.is_string:
        return bool(target != exp.DType.TEXT)
    if target == exp.DType.TEXT and _is_json_text(operand):
        return False
    known = operand.type.this if operand.type else None
    return known not in _EXACT_IN_DUCKDB[target]


def _is_json_text(operand: exp.Expr) -> bool:
    # TO_JSON_STRING and JSON_QUERY: here the quotes of a JSON text are wanted.
    return isinstance(operand, exp.Try | exp.JSONExtract) or operand.name.lower() in {"to_json", "error"}


def _exact(node: exp.Expr) -> exp.Expr:
    strict, safe = _CALLS[node.args["to"].this]
    return call(safe if isinstance(node, exp.TryCast) else strict, node.this)


RULES = (Rule("CASTS", _is_inexact, _exact),)
