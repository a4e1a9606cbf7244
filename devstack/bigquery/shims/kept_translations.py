"""Translates each statement once.

Writing a statement of dbt in DuckDB's SQL takes a score of passes over it, and ten times as long as running it, while
the next build sends the same statement with another instant in it. A translation is kept with everything it asked
the catalogue; when a statement of its kind comes again, the catalogue is asked the same, and where all answers are
the same the translation holds. (A "verifying trace": Mokhov, Mitchell, Peyton Jones, "Build systems a la carte", 2018.)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bqemulator.catalog.models import TableMeta
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.sql.inner_query import refresh_dependent_mvs
from pydantic import BaseModel

from devstack.bigquery.shims.kept_store import kept_store
from devstack.bigquery.shims.kept_texts import LastUsed, kept_text
from devstack.bigquery.shims.templates import filled, keeps_all, slotted, template_of

# Their translation depends on more than the catalogue, or on all of it.
_NEVER_KEPT = ("SYSTEM_TIME", "INFORMATION_SCHEMA")
_NAME = "translation"
# What a translation depends on of a table; its rows, its age and its labels are not part of it.
_OF_A_TABLE = ("table_type", "schema_", "view_query", "use_legacy_sql", "base_table", "time_partitioning")


@dataclass(frozen=True)
class Asked:
    """One look into the catalogue.

    Attributes:
        method: what was asked.
        arguments: with slots for what changes from run to run.
        answer: what it said.
    """

    method: str
    arguments: tuple[str, ...]
    answer: Any


@dataclass(frozen=True)
class Kept:
    """A translation.

    Attributes:
        text: DuckDB's SQL, with slots.
        asked: all it depends on.
    """

    text: str
    asked: tuple[Asked, ...]

    def holds(self, catalog: Any, values: tuple[str, ...]) -> bool:
        """Tell whether the catalogue still says the same.

        Args:
            catalog: the emulator's catalogue.
            values: those of the statement at hand.

        Returns:
            True when every answer is the same.
        """
        return all(
            _same(getattr(catalog, each.method)(*(filled(text, values) for text in each.arguments)), each.answer)
            for each in self.asked
        )

    def stored(self) -> list[Any] | None:
        """Return what `restored` needs, as JSON has it; None when an answer cannot be told in JSON."""
        told = [(each.method, each.arguments, _told(each.answer)) for each in self.asked]
        return None if any(answer is None for _, _, answer in told) else [self.text, told]


def restored(stored: Any, catalog: Any, values: tuple[str, ...]) -> Kept | None:
    """Take up a translation that another process kept.

    Args:
        stored: what `Kept.stored` returned.
        catalog: the emulator's catalogue.
        values: those of the statement at hand.

    Returns:
        The translation with this catalogue's answers; None when one of them is another.
    """
    text, told = stored
    asked = []
    for method, arguments, known in told:
        answer = getattr(catalog, method)(*(filled(argument, values) for argument in arguments))
        if _told(answer) != known:
            return None
        asked.append(Asked(method, tuple(arguments), answer))
    return Kept(text, tuple(asked))


def _told(answer: Any) -> str | None:
    """Write an answer as text that is the same in every process; None for what has no such text."""
    if isinstance(answer, TableMeta):
        return str(answer.model_dump_json(include=set(_OF_A_TABLE)))
    if isinstance(answer, BaseModel):
        return str(answer.model_dump_json())
    if isinstance(answer, list | tuple):
        told = [_told(each) for each in answer]
        return None if None in told else repr(told)
    return repr(answer) if answer is None or isinstance(answer, bool | int | str) else None


def _same(found: Any, known: Any) -> bool:
    if found is known:
        return True
    if isinstance(found, TableMeta) and isinstance(known, TableMeta):
        return all(getattr(found, name) == getattr(known, name) for name in _OF_A_TABLE)
    return bool(found == known)


class Asking:
    """A catalogue that writes down what it is asked.

    Args:
        catalog: the emulator's catalogue.
    """

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.asked: list[tuple[str, tuple[Any, ...], Any]] = []
        self.can_be_asked_again = True

    def __getattr__(self, method: str) -> Any:
        ask = getattr(self._catalog, method)

        def asking(*arguments: Any, **named: Any) -> Any:
            can_be_asked_again, self.can_be_asked_again = self.can_be_asked_again, False  # unless it answers
            answer = ask(*arguments, **named)
            is_plain = not named and all(isinstance(argument, str) for argument in arguments)
            self.can_be_asked_again = can_be_asked_again and is_plain
            self.asked.append((method, arguments, answer))
            return answer

        return asking


def apply() -> None:
    """Put what is kept in front of both halves of a translation, for jobs and for scripts."""
    translate = _kept_translation(executor.rewrite_and_translate_statement)
    qualify = kept_text(executor.rewrite_table_refs)
    for module in (executor, interpreter):
        vars(module)["rewrite_and_translate_statement"] = translate
        vars(module)["rewrite_table_refs"] = qualify


def _kept_translation(translate: Callable[..., Any]) -> Callable[..., Any]:
    translations: LastUsed[Kept] = LastUsed()

    @functools.wraps(translate)
    async def translate_once(sql: str, *, project_id: str, ctx: Any, caller: Any, translator: Any) -> str:
        context = {"project_id": project_id, "caller": caller, "translator": translator}
        template = template_of(sql)
        if template is None or any(word in sql.upper() for word in _NEVER_KEPT):
            return str(await translate(sql, ctx=ctx, **context))
        key = (template.key, project_id, caller)
        await refresh_dependent_mvs(project_id, sql, ctx)
        kept = translations.get(key)
        if kept is not None and kept.holds(ctx.catalog, template.values):
            return filled(kept.text, template.values)
        stored = kept_store().get(_NAME, key)
        kept = restored(stored, ctx.catalog, template.values) if stored else None
        if kept is not None:
            translations.keep(key, kept)
            return filled(kept.text, template.values)
        executor.classify_statement_type(sql)  # asked for afterwards, when the tree is used up
        asking = Asking(ctx.catalog)
        translated = str(await translate(sql, ctx=dataclasses.replace(ctx, catalog=asking), **context))
        text = slotted(translated, template.values)
        if asking.can_be_asked_again and keeps_all(template.text, text):
            asked = (
                Asked(method, tuple(slotted(each, template.values) for each in arguments), answer)
                for method, arguments, answer in asking.asked
            )
            kept = Kept(text, tuple(asked))
            translations.keep(key, kept)
            if (stored := kept.stored()) is not None:
                kept_store().keep(_NAME, key, stored, worked_out_from=sql)
        return translated

    return translate_once
