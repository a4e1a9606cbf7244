"""The SQL of a comparison, for DuckDB; the statements stand in `compare/sql`.

Both sides are views of normalised columns, numbered as in scratch space: keys are `c0` up to the number of
key columns, values follow. A key that stands more than once on a side is set aside before the join, so the
join pairs each key once and can never multiply rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from reconcile.plans import ComparisonPlan, PlannedColumn
from reconcile.result import Kind
from reconcile.rules import differs, literal, normalised

Side = Literal["warehouse", "snapshot"]

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

    def side(self, side: Side, files: tuple[Path, ...]) -> str:
        """Return the views of one side's rows."""
        columns = enumerate(self.plan.columns)
        forms = [normalised(column.rule, column.data_type, f"c{number}") for number, column in columns]
        return self._render("side", side=side, forms=forms, files=", ".join(literal(str(file)) for file in files))

    def duplicated(self) -> str:
        """Return the table of keys that stand more than once on a side."""
        return self._render("duplicated")

    def departed(self) -> str:
        """Return the table of keys that left the warehouse's filter in flight."""
        return self._render("departed")

    def differences(self, *, has_duplicates: bool, has_departed: bool) -> str:
        """Return the table of keys that differ."""
        return self._render("differences", has_duplicates=has_duplicates, has_departed=has_departed)

    def counts(self) -> str:
        """Return the query of keys and rows by kind."""
        return self._render("counts")

    def column_counts(self) -> str:
        """Return the query of changed rows, in all and by value column; one row."""
        return self._render("column_counts")

    def pick(self, kind: Kind, count: int) -> str:
        """Return the table of the first `count` differences of a kind."""
        return self._render("pick", kind=literal(kind), count=count)

    def picked(self) -> str:
        """Return the query of what was picked: key, rows on each side, flags."""
        return self._render("picked")

    def picked_values(self, side: Side) -> str:
        """Return the query of one side's values of what was picked, numbered."""
        return self._render("picked_values", side=side)

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
        return _TEMPLATES.get_template(f"{name}.sql.j2").render(key_count=keys, values=values, **context)


def _fields(columns: tuple[PlannedColumn, ...], prefix: str) -> str:
    return ", ".join(f"{_quoted(column.name)} := {_zoned(column, f'{prefix}{n}')}" for n, column in enumerate(columns))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _zoned(column: PlannedColumn, value: str) -> str:
    return f"timezone('UTC', {value})" if column.data_type == "timestamp" else value
