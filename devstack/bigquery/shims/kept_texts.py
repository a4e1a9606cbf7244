"""Remembers what became of a statement, and uses it for every other statement of its kind."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from devstack.bigquery.shims.kept_store import kept_store
from devstack.bigquery.shims.templates import filled, keeps_all, slotted, template_of

Value = TypeVar("Value")
_LIMIT = 2_000


class LastUsed(Generic[Value]):
    """The values that were used last, by their keys.

    Args:
        limit: how many; the one that was not used for longest goes first.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._values: OrderedDict[Any, Value] = OrderedDict()

    def __contains__(self, key: Any) -> bool:
        return key in self._values

    def get(self, key: Any) -> Value | None:
        """Return the value of a key; None when there is none."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def keep(self, key: Any, value: Value) -> None:
        """Keep a value, in the place of the one before it."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)


def kept_text(rewrite: Callable[..., str | None], *, drops: bool = False) -> Callable[..., Any]:
    """Rewrite each kind of text once.

    Args:
        rewrite: takes a text, and gives one that depends on nothing but its arguments; None where it has nothing to do.
        drops: whether it may leave out parts of the text.

    Returns:
        The same, which remembers.
    """
    kept: LastUsed[str | None] = LastUsed()
    name = _name_of(rewrite)

    @functools.wraps(rewrite)
    def rewrite_once(text: str, *arguments: str) -> str | None:
        template = template_of(text)
        if template is None:
            return rewrite(text, *arguments)
        key = (template.key, arguments)
        if key in kept:
            found = kept.get(key)
            return None if found is None else filled(found, template.values)
        stored = kept_store().get(name, key)
        if stored is not None:
            (result,) = stored
            kept.keep(key, result)
            return None if result is None else filled(result, template.values)
        made = rewrite(text, *arguments)
        result = None if made is None else slotted(made, template.values)
        if result is None or drops or keeps_all(template.text, result):
            kept.keep(key, result)
            kept_store().keep(name, key, [result], worked_out_from=text)
        return made

    return rewrite_once


def kept_answer(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """Answer once for each kind of statement.

    Args:
        check: takes a statement; what it says must not hold a part of its text, and must be a bool, number or text.

    Returns:
        The same, which remembers.
    """
    kept: LastUsed[Any] = LastUsed()
    name = _name_of(check)

    @functools.wraps(check)
    def checked(sql: str) -> Any:
        template = template_of(sql)
        if template is None:
            return check(sql)
        if template.key not in kept:
            stored = kept_store().get(name, template.key)
            answer = check(sql) if stored is None else stored[0]
            kept.keep(template.key, answer)
            if stored is None:
                kept_store().keep(name, template.key, [answer], worked_out_from=sql)
        return kept.get(template.key)

    return checked


def _name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
