"""Looks for decimal literals outside of texts and of comments.

The emulator writes `3.25` as `3.25e0`, so that DuckDB takes it for a FLOAT64. An apostrophe in a comment makes it take
what follows for the end of a text, and the fraction of the next timestamp for a literal of its own.
"""

from __future__ import annotations

import re

from bqemulator.sql import translator

_TOKEN = re.compile(
    r"'(?:\\.|''|[^'\\])*'"
    r'|"(?:\\.|""|[^"\\])*"'
    r"|--[^\n]*|/\*.*?\*/"
    r"|(?<![A-Za-z0-9_.])(?P<literal>[0-9]+[.][0-9]+)(?![A-Za-z0-9_.])",
    re.DOTALL,
)


def with_exponents(sql: str) -> str:
    """Write every decimal literal with an exponent.

    Args:
        sql: one statement.

    Returns:
        The same, with `3.25e0` for `3.25`; texts and comments are left alone.
    """
    return _TOKEN.sub(lambda found: f"{found[0]}e0" if found["literal"] else found[0], sql)


def apply() -> None:
    """Replace the emulator's own."""
    translator.rewrite_decimal_literals = with_exponents
