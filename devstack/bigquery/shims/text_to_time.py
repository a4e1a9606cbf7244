r"""SAFE_CAST of texts to dates and times accepts what GoogleSQL accepts, and nothing else.

DuckDB reads far more: `2024/01/05`, `24-1-5`, `infinity`, a time without seconds, blanks around it. A model that meets
such texts would be right here and null in production; `infinity` would be stored, and no client could read its row.
What GoogleSQL accepts beyond the patterns (a zone by its name, a second 60, an hour of the zone in one digit) is null
here: `tests/googlesql` lists it.

Source: GoogleSQL data types, "Canonical format for timestamp literals" and its neighbours for DATE, DATETIME and TIME.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from devstack.bigquery.shims.functions import Rule, call

_YEAR: Final = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_MONTH_AND_DAY: Final = "-[0-9]{1,2}-[0-9]{1,2}"
_TIME: Final = "(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](?:[.][0-9]{1,6})?"
# A shift of the zone must not lead out of the years 1 to 9999.
_INNER_YEAR: Final = "(?:[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8]|0[1-9][0-9]{2}|00[1-9][0-9]|000[2-9])"
_ZONE: Final = "[+-](?:(?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|14(?::?00)?)"
_UTC: Final = "(?:Z| UTC|[+-]00(?::?00)?)"

_DATE: Final = f"^({_YEAR}{_MONTH_AND_DAY})$"
_DATETIME: Final = f"^({_YEAR}{_MONTH_AND_DAY}(?:[ T]{_TIME})?)$"
_TIMESTAMP: Final = (
    f"^({_YEAR}{_MONTH_AND_DAY}(?:[ T]{_TIME}{_UTC}?)?|{_INNER_YEAR}{_MONTH_AND_DAY}[ T]{_TIME}{_ZONE})$"
)
_AS_DATETIME: Final = ("bq_safe_datetime", "timestamp", _DATETIME)
_TARGETS: Final = {
    exp.DType.DATE: ("bq_safe_date", "date", _DATE),
    exp.DType.TIME: ("bq_safe_time", "time", f"^({_TIME})$"),
    exp.DType.TIMESTAMP: _AS_DATETIME,
    exp.DType.TIMESTAMPNTZ: _AS_DATETIME,
    exp.DType.DATETIME: _AS_DATETIME,
    exp.DType.TIMESTAMPTZ: ("bq_safe_timestamp", "timestamptz", _TIMESTAMP),
}
_TEXT: Final = {exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.UNKNOWN}


def _macro(name: str, target: str, pattern: str) -> str:
    # typeof() is known at compile time: one branch is left, and the value, which may be a costly one, stands in it once
    return f"""{name}(x) as case
        when typeof(x) = 'VARCHAR' then try_cast(regexp_extract(cast(x as varchar), '{pattern}', 1) as {target})
        else try_cast(x as {target})
    end"""


MACROS = tuple(_macro(*target) for target in sorted(set(_TARGETS.values())))


def _may_be_text(node: exp.Expr) -> bool:
    if not isinstance(node, exp.TryCast) or node.to.this not in _TARGETS:
        return False
    known = node.this.type.this if node.this.type else exp.DType.UNKNOWN
    return known in _TEXT


RULES = (Rule("TEXT_TO_TIME", _may_be_text, lambda node: call(_TARGETS[node.args["to"].this][0], node.this)),)
