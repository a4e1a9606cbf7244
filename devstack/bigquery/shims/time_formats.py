"""Understands %E*S, %E3S, %E4Y and %R in formats of dates and times.

The emulator passes them on, and DuckDB prints or refuses them. Formatting cuts a format at such an element and
joins the parts; parsing accepts seconds with a fraction and without (with one only, beside a time zone).

Source: GoogleSQL, "Format elements for date and time parts".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bqemulator.sql import translator
from sqlglot import exp

from devstack.bigquery.shims.functions import call
from devstack.bigquery.shims.statements import DIALECT, parsed

_ELEMENT = re.compile(r"%%|%E\*S|%E[1-9]S|%E0S|%E4Y|%R")
_SAME = {"%%": "%%", "%E0S": "%S", "%E4Y": "%Y", "%R": "%H:%M"}
_ZONED = re.compile("%Ez|%Z")
_FRACTIONAL = "%S.%f"
_WHOLE = "%S"

MACROS = ("bq_parse(value, fractional, whole) as strptime(value, [fractional, whole])",)


def rewrite(sql: str) -> str:
    """Replace calls whose format has such an element.

    Args:
        sql: one statement.

    Returns:
        The statement without them.
    """
    tree = parsed(sql) if "%E" in sql or "%R" in sql else None
    if tree is None:
        return sql
    for node in list(tree.find_all(exp.TimeToStr, exp.StrToTime, exp.ParseDatetime)):
        text = node.args.get("format")
        if isinstance(text, exp.Literal) and any(element != "%%" for element in _ELEMENT.findall(text.name)):
            replacement = _formatted(node, text.name) if isinstance(node, exp.TimeToStr) else _parsed(node, text.name)
            node.replace(replacement)
    return tree.sql(dialect=DIALECT)


def _formatted(node: exp.Expr, text: str) -> exp.Expr:
    parts = list(_parts(node, text))
    return parts[0] if len(parts) == 1 else exp.Concat(expressions=parts, safe=False, coalesce=False)


def _parts(node: exp.Expr, text: str) -> Iterator[exp.Expr]:
    plain, end = "", 0
    for match in _ELEMENT.finditer(text):
        plain, end = plain + text[end : match.start()], match.end()
        element = match.group()
        if element in _SAME:
            plain += _SAME[element]
            continue
        if plain:
            yield _with_format(node, exp.Literal.string(plain))
            plain = ""
        yield _seconds(_with_format(node, exp.Literal.string(_FRACTIONAL)), element)
    plain += text[end:]
    if plain:
        yield _with_format(node, exp.Literal.string(plain))


def _seconds(fractional: exp.Expr, element: str) -> exp.Expr:
    if element == "%E*S":
        return call("regexp_replace", fractional, exp.Literal.string("[.]?0+$"), exp.Literal.string(""))
    length = len("00.") + int(element[2])
    return call("substr", fractional, exp.Literal.number(1), exp.Literal.number(length))


def _parsed(node: exp.Expr, text: str) -> exp.Expr:
    fractional, whole = _as_read(text, _FRACTIONAL), _as_read(text, _WHOLE)
    if _ZONED.search(text):  # read by a helper of the emulator, which takes one format only
        return _with_format(node, exp.Literal.string(fractional))
    value = call("bq_parse", node.this, exp.Literal.string(fractional), exp.Literal.string(whole))
    return value if isinstance(node, exp.ParseDatetime) else call("timezone", exp.Literal.string("UTC"), value)


def _as_read(text: str, seconds: str) -> str:
    return _ELEMENT.sub(lambda match: _SAME.get(match.group(), seconds), text)


def _with_format(node: exp.Expr, text: exp.Expr) -> exp.Expr:
    copy = node.copy()
    copy.set("format", text)
    return copy


def apply() -> None:
    """Put it in front of the emulator's own step for formats."""
    own = translator.rewrite_timestamp_iso_helpers
    vars(translator)["rewrite_timestamp_iso_helpers"] = lambda sql: own(rewrite(sql))
