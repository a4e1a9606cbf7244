"""Names of tables as they stand in syntax trees, and their entries in the emulator's catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bqemulator.storage.sql_identifiers import quoted_table_ref
from sqlglot import exp

from devstack.bigquery.shims.statements import Scope


@dataclass(frozen=True)
class TableName:
    """A fully qualified table.

    Attributes:
        project_id: Google Cloud project.
        dataset_id: BigQuery dataset.
        table_id: table within it.
    """

    project_id: str
    dataset_id: str
    table_id: str

    @property
    def storage(self) -> str:
        """The quoted name of the DuckDB table that holds its rows; refuses unsafe identifiers."""
        return str(quoted_table_ref(self.project_id, self.dataset_id, self.table_id))

    @property
    def quoted(self) -> str:
        """The name in backticks, for a GoogleSQL statement."""
        return f"`{self.project_id}`.`{self.dataset_id}`.`{self.table_id}`"


def table_name(node: exp.Expr | None, scope: Scope) -> TableName | None:
    """Read the table a syntax tree names.

    Args:
        node: a table, or the schema clause around one.
        scope: supplies the default project.

    Returns:
        The table, or None when `node` is something else or has no dataset.
    """
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table) or not node.db or not node.name:
        return None
    return TableName(node.catalog or scope.project_id, node.db, node.name)


def catalog_entry(name: TableName, scope: Scope) -> Any:
    """Look a table up in the emulator's catalogue.

    Args:
        name: the table.
        scope: supplies the catalogue.

    Returns:
        Its metadata, or None when there is no such table.
    """
    return scope.context.catalog.get_table(name.project_id, name.dataset_id, name.table_id)
