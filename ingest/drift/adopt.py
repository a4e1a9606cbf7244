"""Taking new fields up: the columns to add to the contract, and the DDL that adds them to the structure zone.

Only ever additive: a missing or retyped column is for people to decide on.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec
import yaml

from core.contracts import Contracts, DataType, load_contracts
from core.errors import ConfigurationError, ContractError
from core.identifiers import check_column, qualified
from core.raw_row import ADDED_COLUMNS
from ingest.drift.findings import Finding

STRUCTURE: Final = "structure"
"""The dataset whose tables hold the contract's columns."""

UNCLASSIFIED: Final = "unclassified"
"""Class of personal data of a column that nobody has looked at: it is masked until somebody does."""

_STRUCTURED: Final = frozenset({"json", "array<int64>", "array<string>"})
_JOINED: Final[tuple[tuple[frozenset[str], DataType], ...]] = (
    (frozenset({"int64", "numeric"}), "numeric"),
    (frozenset({"int64", "numeric", "float64"}), "float64"),
    (frozenset({"date", "datetime"}), "datetime"),
    (frozenset({"date", "datetime", "timestamp"}), "timestamp"),
)
"""Types that have one which holds the values of all of them; the narrowest first."""


class NewColumn(msgspec.Struct, frozen=True):
    """A column to add to a contract.

    Attributes:
        name: the field's name.
        data_type: GoogleSQL type that holds every value seen.
        first_seen: the day it was first seen, as ISO 8601.
    """

    name: str
    data_type: DataType
    first_seen: str


class Adoption(msgspec.Struct, frozen=True):
    """What takes up the new fields of a table.

    Attributes:
        table: raw table.
        path: the file that declares it.
        columns: the columns to add.
        left_out: fields that cannot be added, with the reason.
        yaml: the lines to insert at the end of the table's columns.
        ddl: the statement that adds the columns to the structure table; None without columns.
        casts: the lines to add to the structure model.
    """

    table: str
    path: str
    columns: tuple[NewColumn, ...]
    left_out: dict[str, str]
    yaml: str
    ddl: str | None
    casts: tuple[str, ...]


def adoptions(found: Sequence[Finding], contracts_path: Path, project: str) -> list[Adoption]:
    """Work out what takes up the new fields.

    Args:
        found: what does not fit.
        contracts_path: folder of the contracts.
        project: Google Cloud project, for the DDL.

    Returns:
        One adoption for each table with new fields.

    Raises:
        ContractError: when the file that declares a table cannot be found or read.
    """
    new: dict[str, list[Finding]] = {}
    for one in found:
        if one.change == "new_field":
            new.setdefault(one.table, []).append(one)
    return [_adoption(table, fields, contracts_path, project) for table, fields in new.items()]


def inferred_type(seen_types: Iterable[str]) -> DataType | None:
    """Return the narrowest type that holds values of all types seen.

    Args:
        seen_types: what values looked like, as `forms.seen_type` says.

    Returns:
        The type; None when only null was seen.
    """
    seen = {*seen_types} - {"null"}
    if not seen:
        return None
    for data_type in get_args(DataType):
        if seen == {data_type}:
            return cast("DataType", data_type)
    for members, data_type in _JOINED:
        if seen <= members:
            return data_type
    return "json" if seen & _STRUCTURED else "string"


def apply_yaml(adoption: Adoption, contracts_path: Path) -> Contracts:
    """Write the new columns into the file that declares the table, and leave every other byte as it is.

    Args:
        adoption: what to write.
        contracts_path: folder of the contracts.

    Returns:
        The contracts as they are now.

    Raises:
        ContractError: when the file does not declare what it should afterwards; it is then as it was before.
    """
    path = Path(adoption.path)
    former, before = path.read_text(encoding="utf-8"), load_contracts(contracts_path)
    line, _ = _end_of_columns(path, adoption.table)
    lines = former.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    path.write_text("".join([*lines[:line], adoption.yaml, *lines[line:]]), encoding="utf-8")
    try:
        after = load_contracts(contracts_path)
        _check(adoption, before, after)
    except ContractError:
        path.write_text(former, encoding="utf-8")
        raise
    return after


def _adoption(table: str, fields: Sequence[Finding], contracts_path: Path, project: str) -> Adoption:
    columns, left_out = [], {}
    # BigQuery does not tell `V` from `v`.
    taken = {column.name.casefold() for column in load_contracts(contracts_path)[table].columns}
    for one in fields:
        data_type = inferred_type(one.seen_types)
        fault = _fault(one.field, taken)
        if fault is not None or data_type is None:
            left_out[one.field] = fault or "only null was seen: its type is not known yet"
        else:
            columns.append(NewColumn(one.field, data_type, f"{one.first_seen:%Y-%m-%d}"))
            taken.add(one.field.casefold())
    path = _declaring_file(table, contracts_path)
    _, indent = _end_of_columns(path, table)
    added = ", ".join(f"add column if not exists `{one.name}` {one.data_type}" for one in columns)
    return Adoption(
        table,
        str(path),
        tuple(columns),
        left_out,
        "".join(_column_yaml(one, " " * indent) for one in columns),
        f"alter table {qualified(project, STRUCTURE, table)} {added}" if columns else None,
        # A source may name a column `on` or `select`, which stands in SQL in backticks only.
        tuple(f"{{{{ cdc_cast('{one.name}', '{one.data_type}', columns) }}}} as `{one.name}`," for one in columns),
    )


def _fault(field: str, taken: set[str]) -> str | None:
    try:
        check_column(field)
    except ConfigurationError as error:
        return str(error)
    if field.casefold() in ADDED_COLUMNS:
        return "Millrace itself adds a column of this name to every table"
    if field.casefold() in taken:
        return "BigQuery takes it for a column that is there already: names are the same in either case"
    return None


def _column_yaml(column: NewColumn, indent: str) -> str:
    return (
        f"{indent}- name: {_scalar(column.name)}\n"
        f"{indent}  data_type: {column.data_type}\n"
        f"{indent}  description: New at the source, first seen on {column.first_seen}; say what it means.\n"
        f"{indent}  config:\n"
        f"{indent}    meta:\n"
        f"{indent}      pii: {UNCLASSIFIED}\n"
    )


def _scalar(name: str) -> str:
    """Quote a name that YAML would read as something else, such as `no` or `null`."""
    return name if yaml.safe_load(name) == name else f'"{name}"'


def _declaring_file(table: str, contracts_path: Path) -> Path:
    for path in sorted(contracts_path.rglob("*.yml")):
        if _columns_node(path, table) is not None:
            return path
    raise ContractError(f"{contracts_path}: no file declares table {table!r}")


def _end_of_columns(path: Path, table: str) -> tuple[int, int]:
    """Return the number of the line after the table's last column, and the indentation of its columns."""
    node = _columns_node(path, table)
    if node is None or node.flow_style:
        raise ContractError(f"{path}: the columns of table {table!r} are no block sequence; add the new ones by hand")
    last = node.value[-1]
    return _last_line(last) + 1, node.start_mark.column


def _last_line(node: yaml.Node) -> int:
    """Return the last line of a node; the end of a block is where the next one begins, after blanks and comments."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1])
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        # It ends with its last line break, unless the file ends without one.
        return node.end_mark.line - 1 if node.end_mark.column == 0 else node.end_mark.line
    return node.end_mark.line


def _columns_node(path: Path, table: str) -> Any:
    """Find the node of a table's columns in a dbt source file."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(f"{path}: cannot be read: {error}") from error
    for source in _items(_child(root, "sources")):
        for declared in _items(_child(source, "tables")):
            name = _child(declared, "name")
            if name is not None and name.value == table:
                return _child(declared, "columns")
    return None


def _child(node: Any, name: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _items(node: Any) -> list[Any]:
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check(adoption: Adoption, before: Contracts, after: Contracts) -> None:
    """Make sure that the new columns, and nothing else, were declared."""
    former, now = before[adoption.table], after[adoption.table]
    added = [(column.name, column.data_type) for column in now.columns[len(former.columns) :]]
    is_same = now.columns[: len(former.columns)] == former.columns and before.keys() == after.keys()
    others = all(after[name] == before[name] for name in before if name != adoption.table)
    if not (is_same and others and added == [(one.name, one.data_type) for one in adoption.columns]):
        raise ContractError(f"{adoption.path}: the new columns of {adoption.table!r} do not fit in; add them by hand")
