"""The SQL of a comparison, for DuckDB; the statements stand in `compare/sql`.

Both sides are views of normalised columns, numbered as in scratch space: keys are `c0` up to the number of
key columns, values follow. A key that stands more than once on a side is set aside before the join, so the
join pairs each key once and can never multiply rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from reconcile.compare.ranges import EVERYTHING, KeyRange
from reconcile.examples import EXAMPLES
from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.read.direct import Direct
from reconcile.read.footers import Form
from reconcile.read.sides import IN_FLIGHT, LIVE
from reconcile.read.spill import Spill
from reconcile.result import Kind
from reconcile.rules import EXACT, differs, literal, normalised, quoted

Side = Literal["warehouse", "snapshot"]
Source = Spill | Direct
"""The rows of a side: in scratch space, or where they lie."""

_MASK_BITS: Final = 60
"""Flags that one number of 64 bits holds."""

# Only HTML is escaped by Jinja; what is rendered here are numbers, our own expressions and `literal`s.
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "sql"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Statements:
    """Builds the statements of one comparison.

    Attributes:
        plan: the comparison.
    """

    plan: ComparisonPlan

    def side(self, side: Side, source: Source, other: Source, part: KeyRange = EVERYTHING, condition: str = "") -> str:
        """Return the views of one side's rows.

        Args:
            side: which side.
            source: its rows.
            other: the rows of the other side.
            part: the range of keys that the views show.
            condition: SQL over the views' columns that rows must also meet; empty when they all do.
        """
        return self._render(
            "side",
            side=side,
            forms=[
                (normalised(column.rule, column.data_type, compared), stored)
                for column, (compared, stored) in zip(self.plan.columns, self.forms(source, other), strict=True)
            ],
            files=", ".join(literal(str(file)) for file in part.files(source)),
            where=_where(source, part),
            condition=condition or "true",
            live="true" if isinstance(source, Direct) else LIVE,
            in_flight="false" if isinstance(source, Direct) else IN_FLIGHT,
        )

    def forms(self, source: Source, other: Source) -> list[tuple[str, str]]:
        """Return the SQL of each column as it is compared, before its rule, and as it is stored.

        Args:
            source: rows of a side.
            other: the rows of the other side.
        """
        if not isinstance(source, Direct):
            return [(f"c{number}", f"c{number}") for number, _ in enumerate(self.plan.columns)]
        theirs = other.forms if isinstance(other, Direct) else (None,) * len(source.forms)
        return [
            (ours.native if _alike(column, ours, form) else ours.stored, ours.stored)
            for column, ours, form in zip(self.plan.columns, source.forms, theirs, strict=True)
        ]

    def part(self, most: int) -> str:
        """Return the table of what the join of the views found, broken off after `most` rows."""
        return self._render("part", most=most)

    def part_counts(self) -> str:
        """Return the query of the rows that the join passed on; one row."""
        return self._render("part_counts")

    def part_differences(self, *, is_first: bool) -> str:
        """Return the statement that adds to the table of keys that differ; the first one makes it."""
        return self._render("part_differences", verb=_verb(is_first=is_first))

    def duplicated(self) -> str:
        """Return the table of keys that stand more than once on a side."""
        return self._render("duplicated")

    def departed(self) -> str:
        """Return the table of keys that left the warehouse's filter in flight."""
        return self._render("departed")

    def differences(self, *, has_duplicates: bool, has_departed: bool, is_first: bool) -> str:
        """Return the statement that adds to the table of keys that differ; the first one makes it."""
        verb = _verb(is_first=is_first)
        return self._render("differences", has_duplicates=has_duplicates, has_departed=has_departed, verb=verb)

    def counts(self) -> str:
        """Return the query of keys and rows by kind."""
        return self._render("counts")

    def column_counts(self) -> str:
        """Return the query of changed rows, in all and by value column; one row."""
        return self._render("column_counts")

    def pick(self, kind: Kind, count: int, *, shown: int, columns: tuple[int, ...] = ()) -> str:
        """Return the table of the differences of a kind that are looked up; see `reconcile.examples`.

        Args:
            kind: the kind.
            count: how many in the order of the key.
            shown: how many of them, and of those of single columns, to mark as shown.
            columns: numbers of the value columns of which some are picked whatever their key.
        """
        return self._render("pick", kind=literal(kind), count=count, shown=shown, columns=columns, examples=EXAMPLES)

    def picked_keys(self) -> str:
        """Return the query of the first key column of what was picked."""
        return "select distinct c0 from picked order by c0"

    def picked(self) -> str:
        """Return the query of what was picked: whether it is shown, key, rows on each side, flags."""
        return self._render("picked")

    def picked_values(self, side: Side, columns: frozenset[int]) -> str:
        """Return the query of one side's values of what was picked, numbered; null where a column is not asked for."""
        return self._render("picked_values", side=side, wanted=columns)

    def partitions(self, label: str, kinds: tuple[str, ...], most: int) -> str:
        """Return the query of rows and differing keys by partition; `label` is SQL over the views' columns."""
        return self._render("partitions", label=label, kinds=kinds, most=most)

    def export(self, path: Path, *, values: bool) -> str:
        """Return the statement that writes every difference as Parquet, with both sides' values or without."""
        keys = len(self.plan.key)
        return self._render(
            "export",
            path=literal(str(path)),
            names=[(keys + n, literal(column.name)) for n, column in enumerate(self.plan.values)],
            key_fields=_fields(self.plan.key, "d.c"),
            with_values=values,
            warehouse_fields=_fields(self.plan.columns, "w.r"),
            snapshot_fields=_fields(self.plan.columns, "s.r"),
        )

    def _render(self, name: str, **context: Any) -> str:
        keys = len(self.plan.key)
        values = [
            (n, differs(column.rule, column.data_type, f"w.c{n}", f"s.c{n}"))
            for n, column in enumerate(self.plan.values, start=keys)
        ]
        return _TEMPLATES.get_template(f"{name}.sql.j2").render(
            key_count=keys, values=values, masks=_masks(values), **context
        )


def _masks(values: list[tuple[int, str]]) -> list[list[tuple[int, int, str]]]:
    """Return the value columns' tests by mask, each with its bit."""
    return [
        [(1 << bit, number, differs) for bit, (number, differs) in enumerate(values[first : first + _MASK_BITS])]
        for first in range(0, len(values), _MASK_BITS)
    ]


def _where(source: Source, part: KeyRange) -> str:
    if not isinstance(source, Direct):
        return part.sql("c0")
    return " and ".join(filter(None, (part.sql(source.forms[0].native), source.where)))


def _alike(column: PlannedColumn, ours: Form, theirs: Form | None) -> bool:
    """Return whether a column may be compared as the files hold it, without conversion to the stored type."""
    return theirs is not None and ours.kind == theirs.kind and column.rule == EXACT and not column.is_key


def _verb(*, is_first: bool) -> str:
    return "create temp table differences as" if is_first else "insert into differences"


def _fields(columns: tuple[PlannedColumn, ...], prefix: str) -> str:
    return ", ".join(f"{quoted(column.name)} := {_zoned(column, f'{prefix}{n}')}" for n, column in enumerate(columns))


def _zoned(column: PlannedColumn, value: str) -> str:
    return f"timezone('UTC', {value})" if column.data_type == "timestamp" else value
