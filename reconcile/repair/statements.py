"""The statements that would make the warehouse agree with the snapshot.

A row is only touched while it is still as it was compared: the old values are part of every condition, so that a
statement that comes too late changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.contracts import DataType
from core.identifiers import check_name, qualified
from reconcile.repair.differences import Row
from reconcile.repair.literals import SQL_TYPES, typed_literal
from reconcile.result import ColumnResult

_MOST_BYTES: Final = 500_000
"""Of a statement; BigQuery takes a million ("Quotas and limits", query length) before parameters are resolved."""
_AS_TEXT: Final[frozenset[DataType]] = frozenset({"json", "array<string>", "array<int64>"})
"""Types that GoogleSQL does not compare by themselves."""
_OLD: Final = "was_"


@dataclass(frozen=True)
class Target:
    """What is mended.

    Attributes:
        project: its project.
        dataset: its dataset.
        table: its name.
        columns: the compared columns, the key first.
        tombstone: boolean column that marks a row as deleted; None where rows are deleted.
        inserts: whether rows can be inserted; otherwise only those that are marked as deleted can be brought back.
    """

    project: str
    dataset: str
    table: str
    columns: tuple[ColumnResult, ...]
    tombstone: str | None
    inserts: bool = True

    @property
    def key(self) -> tuple[ColumnResult, ...]:
        """The columns of the key."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def values(self) -> tuple[ColumnResult, ...]:
        """The columns outside the key."""
        return tuple(column for column in self.columns if not column.is_key)


def repair_statements(target: Target, rows: Iterable[Row]) -> Iterator[str]:
    """Yield the statements that mend a table.

    Args:
        target: the table.
        rows: keys that differ.

    Yields:
        GoogleSQL, each statement short enough for BigQuery: rows to change together, rows to insert, rows to delete.
    """
    known = list(rows)
    changed = [row for row in known if row.kind == "changed"]
    for columns in sorted({tuple(sorted(row.changed)) for row in changed}):
        alike = [row for row in changed if tuple(sorted(row.changed)) == columns]
        yield from _batched(target, alike, columns)
    if target.inserts or target.tombstone:
        yield from _batched(target, [row for row in known if row.kind == "missing"], None)
    yield from _batched(target, [row for row in known if row.kind == "extra"], ())


def _batched(target: Target, rows: Sequence[Row], changed: tuple[str, ...] | None) -> Iterator[str]:
    """Yield statements of rows of one kind: `changed` columns to set, None to insert, none at all to delete."""
    columns = _source_columns(target, changed)
    held: list[str] = []
    size = 0
    for row in rows:
        cells = zip(_cells(target, row, changed), columns, strict=True)
        text = f"({', '.join(typed_literal(value, kind) for value, (_, kind) in cells)})"
        if held and size + len(text.encode()) > _MOST_BYTES:
            yield _statement(target, columns, held, changed)
            held, size = [], 0
        held.append(text)
        size += len(text.encode())
    if held:
        yield _statement(target, columns, held, changed)


def _source_columns(target: Target, changed: tuple[str, ...] | None) -> list[tuple[str, DataType]]:
    key = [(column.name, kind_of(column)) for column in target.key]
    values = [(column.name, kind_of(column)) for column in target.values]
    old = [(f"{_OLD}{name}", kind) for name, kind in values]
    if changed is None:
        return [*key, *values]
    if not changed:
        return [*key, *old]
    return [*key, *(pair for pair in values if pair[0] in changed), *(p for p in old if p[0][len(_OLD) :] in changed)]


def _cells(target: Target, row: Row, changed: tuple[str, ...] | None) -> list[Any]:
    new, old = row.snapshot or {}, row.warehouse or {}
    values = [column.name for column in target.values]
    if changed is None:
        return [new[column.name] for column in target.columns]
    if not changed:
        return [*(old[column.name] for column in target.key), *(old[name] for name in values)]
    among = [name for name in values if name in changed]
    return [*(old[column.name] for column in target.key), *(new[n] for n in among), *(old[n] for n in among)]


def _statement(
    target: Target, columns: list[tuple[str, DataType]], rows: list[str], changed: tuple[str, ...] | None
) -> str:
    fields = ", ".join(f"{check_name(name)} {SQL_TYPES[kind]}" for name, kind in columns)
    listed = ",\n    ".join(rows)
    key = " and ".join(
        same_value(f"t.{check_name(column.name)}", f"s.{column.name}", kind_of(column)) for column in target.key
    )
    return "\n".join(
        (
            f"merge {qualified(target.project, target.dataset, target.table)} as t",
            f"using unnest(array<struct<{fields}>>[\n    {listed}\n]) as s",
            f"on {key}",
            *_actions(target, changed),
        )
    )


def _actions(target: Target, changed: tuple[str, ...] | None) -> Iterator[str]:
    names = [check_name(column.name) for column in target.columns]
    if changed is None:
        tombstone = [check_name(target.tombstone)] if target.tombstone else []
        if tombstone:
            # The key may stand there as a deleted row.
            revived = ", ".join(f"{c.name} = s.{c.name}" for c in target.values)
            yield f"when matched and t.{tombstone[0]} then update set {revived}, {tombstone[0]} = false"
        if not target.inserts:
            return
        yield f"when not matched then insert ({', '.join([*names, *tombstone])})"
        yield f"values ({', '.join([*(f's.{name}' for name in names), *('false' for _ in tombstone)])})"
        return
    guarded = [column for column in target.values if not changed or column.name in changed]
    tests = [same_value(f"t.{column.name}", f"s.{_OLD}{column.name}", kind_of(column)) for column in guarded]
    condition = " and ".join(tests) or "true"
    if not changed:
        action = f"update set {check_name(target.tombstone)} = true" if target.tombstone else "delete"
    else:
        action = f"update set {', '.join(f'{column.name} = s.{column.name}' for column in guarded)}"
    yield f"when matched and {condition}"
    yield f"then {action}"


def same_value(left: str, right: str, kind: DataType) -> str:
    """Return the condition that two values of a type are the same, null and NaN included.

    Args:
        left: GoogleSQL of one of them.
        right: GoogleSQL of the other.
        kind: the type of both.
    """
    if kind in _AS_TEXT:
        left, right = f"to_json_string({left})", f"to_json_string({right})"
    # NaN equals nothing, not even itself; null is told apart from every value.
    nan = f" or (is_nan({left}) and is_nan({right}))" if kind == "float64" else ""
    return f"({left} = {right} or ({left} is null and {right} is null){nan})"


def kind_of(column: ColumnResult) -> DataType:
    """Return the type of a column of a result.

    Args:
        column: the column.
    """
    for kind in SQL_TYPES:
        if kind == column.data_type:
            return kind
    raise ValueError(column.data_type)
