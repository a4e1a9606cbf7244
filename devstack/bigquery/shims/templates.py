"""Statements without what changes from run to run.

dbt sends much the same statements with every build; what differs is the instant it reads from, the name of a temporary
table, the id of the invocation, and the rows that it notes as JSON. A template is the text with these taken out, so
that what was worked out for one statement can be used for the next one of its kind.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

# Names and texts that no rewriter looks into: dbt's temporary tables, instants with a fraction or a zone, UUIDs, and
# texts that are JSON arrays of objects, without an escape, which is written otherwise in DuckDB's SQL.
_VARIABLE = re.compile(
    r"(?<=')\[\{\"[^'\\]*\}\](?=')"
    r"|__dbt_tmp_?[0-9]{6,}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:[.][0-9]{1,6}(?:[+-][0-9]{2}:[0-9]{2}|Z)?|[+-][0-9]{2}:[0-9]{2})"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_DIGIT = re.compile("[0-9a-f]")
_SLOT = re.compile("\0([0-9]+)\0")


@dataclass(frozen=True)
class Template:
    """A text and what was taken out of it.

    Attributes:
        text: the text with a numbered slot, `NUL number NUL`, for each distinct value.
        values: the values, by the number of their slot.
    """

    text: str
    values: tuple[str, ...]

    @cached_property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What is the same for all statements of one kind: the text, and how the values are built."""
        return self.text, tuple("[]" if value[0] == "[" else _DIGIT.sub("0", value) for value in self.values)


@lru_cache(64)
def template_of(text: str) -> Template | None:
    """Take out of a text what changes from run to run.

    Args:
        text: a statement.

    Returns:
        Its template; None for a text with a NUL of its own.
    """
    if "\0" in text:
        return None
    numbers: dict[str, int] = {}
    slotted = _VARIABLE.sub(lambda found: f"\0{numbers.setdefault(found[0], len(numbers))}\0", text)
    return Template(slotted, tuple(numbers))


def slotted(text: str, values: tuple[str, ...]) -> str:
    """Put slots into another text, wherever it holds one of the values.

    Args:
        text: what became of a statement.
        values: those of the statement's template.

    Returns:
        The text with slots.
    """
    if not values:
        return text
    numbers = {value: number for number, value in enumerate(values)}
    # the longest first: one instant may be the beginning of another
    pattern = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
    return re.sub(pattern, lambda found: f"\0{numbers[found[0]]}\0", text)


def filled(text: str, values: tuple[str, ...]) -> str:
    """Put values into the slots of a text.

    Args:
        text: a text with slots.
        values: by the number of their slot.

    Returns:
        The text.
    """
    return _SLOT.sub(lambda found: values[int(found[1])], text)


def keeps_all(before: str, after: str) -> bool:
    """Tell whether every slot of one text stands in another at least as often.

    Where one does not, its value was not passed on as it is, and what became of it is good for that value only.

    Args:
        before: the template of a statement.
        after: what became of it, with slots.

    Returns:
        True when nothing was lost.
    """
    return Counter(_SLOT.findall(before)) <= Counter(_SLOT.findall(after))
