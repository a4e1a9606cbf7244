"""Aggregates of every column on both sides: cheap, and blind to whatever leaves them as they are."""

from core.contracts import DataType
from reconcile.compare.checksum import hashed
from reconcile.compare.workspace import Workspace
from reconcile.plans import PlannedColumn
from reconcile.result import Measure
from reconcile.rules import EXACT

_ORDERED: frozenset[DataType] = frozenset(
    {"int64", "numeric", "float64", "string", "date", "datetime", "time", "timestamp"}
)


def aggregates(space: Workspace) -> tuple[Measure, ...]:
    """Compute the aggregates of both sides.

    Args:
        space: both sides.

    Returns:
        A measure for each aggregate of each column: values that are not null, and by type the least, the greatest
        and a sum of hashes.
    """
    space.show()
    wanted = [found for number, column in enumerate(space.plan.columns) for found in _of(number, column)]
    selected = ", ".join(f"({sql})::varchar" for _, sql in wanted)
    sides = [space.one(f"select {selected} from {side}") for side in ("warehouse", "snapshot")]  # noqa: S608 - our own names
    masked = {column.name for column in space.plan.columns if column.masked is not None}
    return tuple(
        Measure(name, shown(left, name, masked), shown(right, name, masked), is_equal=left == right)
        for (name, _), left, right in zip(wanted, *sides, strict=True)
    )


def shown(value: str | None, name: str, masked: set[str]) -> str | None:
    """Return an aggregate as reports may show it.

    Args:
        value: the aggregate.
        name: its column and what it is, such as `email min`.
        masked: columns whose values are personal.
    """
    # The least and the greatest of a personal column are values of persons.
    column, _, aggregate = name.rpartition(" ")
    return "hidden" if column in masked and aggregate in ("min", "max") and value is not None else value


def _of(number: int, column: PlannedColumn) -> list[tuple[str, str]]:
    value = f"c{number}"
    found = [(f"{column.name} count", f"count({value})")]
    rule = column.rule
    if rule.absolute is not None or rule.relative is not None or column.data_type == "json":
        # What may differ a little, or be spelled otherwise, has no least, no greatest and no checksum to agree on.
        return found
    if column.data_type in _ORDERED:
        extreme = _folded(value) if column.data_type == "float64" else value
        found += [(f"{column.name} {name}", f"{name}({extreme})") for name in ("min", "max")]
    if (rule.nan, rule.zero) == (EXACT.nan, EXACT.zero):
        # A sum of hashes and not of values: that of floats depends on the order of the rows, others overflow.
        found.append((f"{column.name} checksum", f"sum(hash({hashed(column.data_type, value)})::hugeint)"))
    return found


def _folded(value: str) -> str:
    # Which of -0 and 0, and which NaN, is the least goes by the order of the rows, and their texts differ.
    return f"case when {value} = 0 then 0 when isnan({value}) then 'nan' else {value} end"
