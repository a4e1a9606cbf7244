"""The compared columns: which they are, what each side's are made of, and by which rule they are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from core.contracts import DataType, TableContract
from core.errors import UnreadableError
from reconcile.config import ColumnConfig, ComparisonConfig, Stated
from reconcile.mapping.origins import Origin
from reconcile.mapping.planning import Held, inputs_of, mapped_type, with_map
from reconcile.planning.faults import Faults
from reconcile.planning.rules import rule_faults
from reconcile.plans import PlannedColumn
from reconcile.read.sides import Side

_PLAIN: Final = ColumnConfig()
_UNDECLARED: Final = "undeclared"
"""What values are masked for when no contract says whether they are personal."""
_NOTHING: Final = Origin("constant", "", is_null=True)
"""What stands for a map that is refused, so that the rest is planned, and its faults are found, too."""

Schema = dict[str, DataType | None]


@dataclass(frozen=True)
class Wishes:
    """What a configuration says of a comparison.

    Attributes:
        comparison: the comparison.
        contract: the contract that it follows, if it does.
        faults: the faults of this comparison.
    """

    comparison: ComparisonConfig
    contract: TableContract | None
    faults: Faults

    def of(self, column: str) -> ColumnConfig:
        """Return what is said of a column.

        Args:
            column: its name.
        """
        return self.comparison.columns.get(column, _PLAIN)


def check_against_contract(comparison: ComparisonConfig, contract: TableContract, faults: Faults) -> None:
    """Find what a comparison says that its contract does not bear.

    Args:
        comparison: the comparison.
        contract: the contract that it follows.
        faults: the faults of this comparison.
    """
    declared = {column.name for column in contract.columns}
    for name in comparison.columns:
        if name not in declared:
            faults.add("the contract has no such column", "columns", name)
    for column in contract.key:
        if comparison.columns.get(column.name, _PLAIN).ignore:
            faults.add("a key column cannot be ignored", "columns", column.name, "ignore")


def planned_columns(wishes: Wishes, schema: Schema | None, held: Held) -> tuple[PlannedColumn, ...]:
    """Return the compared columns with their rules, the key first.

    Args:
        wishes: what the configuration says.
        schema: the compared types of the warehouse's columns; None when its format says nothing of them.
        held: what the warehouse's table holds.

    Raises:
        UnreadableError: when the table does not hold what the configuration names.
    """
    contract = wishes.contract
    declared = _from_contract(contract) if contract else _from_schema(wishes, schema, held)
    planned = [_configured(wishes, column) for column in declared if not wishes.of(column.name).ignore]
    # Keys lead, so that both sides and the engine number them alike.
    return tuple(sorted(planned, key=lambda column: not column.is_key))


def mapped_columns(
    wishes: Wishes, columns: tuple[PlannedColumn, ...], held: Held, side: Side
) -> tuple[PlannedColumn, ...]:
    """Return the compared columns as one side has them, with their maps.

    Args:
        wishes: what the configuration says.
        columns: the compared columns.
        held: what the side holds.
        side: which side.

    Raises:
        UnreadableError: when a path leads nowhere, or a value could lose something on its way to the compared type.
    """
    return tuple(_mapped(wishes, column, held, side) for column in columns)


def _mapped(wishes: Wishes, column: PlannedColumn, held: Held, side: Side) -> PlannedColumn:
    settings = wishes.of(column.name)
    found = replace(column, origin=_NOTHING)
    with wishes.faults.at("columns", column.name, side):
        if side == "warehouse":
            found = with_map(column, settings.warehouse, held)
        else:
            found = _on_snapshot(replace(column, origin=None), settings.snapshot, held)
    return found


def _on_snapshot(column: PlannedColumn, stated: Stated | None, held: Held) -> PlannedColumn:
    # A mere rename needs no map: whatever reads the column reads it by that name.
    is_column = held.schema is not None and stated in held.schema.names
    if not isinstance(stated, str) or not (is_column or "." not in stated):
        return with_map(column, stated, held)
    if held.schema is not None and not is_column:
        raise UnreadableError(f"{held.where}: has no column {stated!r}; it has {', '.join(held.schema.names)}")
    return replace(column, name=stated)


def _from_contract(contract: TableContract) -> list[PlannedColumn]:
    return [
        PlannedColumn(
            name=column.name,
            snapshot_name=column.name,
            data_type=column.data_type,
            is_key=column.is_key,
            rule=_PLAIN.rule(),
            masked=column.pii,
            cast=False,
        )
        for column in contract.columns
    ]


def _from_schema(wishes: Wishes, schema: Schema | None, held: Held) -> list[PlannedColumn]:
    comparison, faults = wishes.comparison, wishes.faults
    if schema is None:
        raise UnreadableError(
            f"{held.where}: its format says nothing of types; name a contract for the comparison{faults.line()}"
        )
    inputs, types = _maps(wishes, held)
    # What maps are made of is compared through them, unless a column of its own says otherwise.
    read = inputs - comparison.columns.keys() - set(comparison.key)
    schema = {name: kind for name, kind in schema.items() if name not in read} | types
    unknown = tuple(_unknown(wishes, schema))
    if unknown:
        raise UnreadableError(f"{held.where}: {'; '.join(unknown)}")
    ignored = {name for name, settings in comparison.columns.items() if settings.ignore}
    odd = [name for name, kind in schema.items() if kind is None and name not in ignored]
    if odd:
        raise UnreadableError(
            f"{held.where}: {', '.join(odd)} cannot be compared; give each `ignore: true`{faults.line()}"
        )
    order = {name: number for number, name in enumerate(comparison.key)}
    planned = [
        PlannedColumn(
            name=name,
            snapshot_name=name,
            data_type=kind,
            is_key=name in order,
            rule=_PLAIN.rule(),
            masked=None if name in order else _UNDECLARED,
            cast=False,
        )
        for name, kind in schema.items()
        if kind is not None
    ]
    return sorted(planned, key=lambda column: order.get(column.name, len(order)))


def _maps(wishes: Wishes, held: Held) -> tuple[set[str], Schema]:
    """Return the columns that the warehouse's maps read, and the types of what they make."""
    inputs: set[str] = set()
    types: Schema = {}
    for name, settings in wishes.comparison.columns.items():
        if settings.warehouse is None:
            continue
        with wishes.faults.at("columns", name, "warehouse"):
            inputs |= set(inputs_of(settings.warehouse, held))
            types[name] = _type_of_map(wishes, name, settings.warehouse, held)
    return inputs, types


def _type_of_map(wishes: Wishes, name: str, stated: Stated, held: Held) -> DataType:
    found = wishes.of(name).cast or mapped_type(stated, held)
    if found is None:
        wishes.faults.add("its map does not tell its type; say it, such as `cast: string`", "columns", name)
    return found or "string"


def _unknown(wishes: Wishes, schema: Schema) -> Iterator[str]:
    """Yield the columns that the configuration names and nobody has, but those whose map is refused anyway."""
    named = {name: ("columns", name) for name in wishes.comparison.columns}
    for name, place in {**dict.fromkeys(wishes.comparison.key, ("key",)), **named}.items():
        if name not in schema and not wishes.faults.concern("columns", name):
            yield f"has no column {name!r}, which the configuration names{wishes.faults.line(*place)}"


def _configured(wishes: Wishes, column: PlannedColumn) -> PlannedColumn:
    settings = wishes.of(column.name)
    masked = column.masked
    if settings.mask is not None:
        masked = (column.masked or _UNDECLARED) if settings.mask else None
    chosen = replace(
        column,
        data_type=settings.cast or column.data_type,
        rule=settings.rule(),
        masked=masked,
        cast=settings.cast is not None,
    )
    if not wishes.faults.concern("columns", column.name):
        for setting, message in rule_faults(chosen.rule, chosen.data_type, is_key=chosen.is_key):
            wishes.faults.add(message, "columns", column.name, setting)
    return chosen
