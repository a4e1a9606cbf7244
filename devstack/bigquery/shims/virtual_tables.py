"""Serves a system view by putting a table with its rows in the place of its name."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from bqemulator.storage.engine import SNAPSHOTS_SCHEMA
from sqlglot import exp

from devstack.bigquery.shims.statements import DIALECT, Mend, Scope, parsed

Rows = Callable[[Scope, str, str | None], pa.Table]


def virtual_table(name: str, rows: Rows) -> Mend:
    """Build the mend that serves one system view.

    Args:
        name: lower-case name of the view within a dataset or region, such as `__tables__`.
        rows: computes its content from the scope, the project and the dataset (None for a region).

    Returns:
        The mend.
    """

    def rewrite(sql: str, scope: Scope) -> str | None:
        tree = parsed(sql)
        found = [node for node in tree.find_all(exp.Table) if node.name.lower() == name] if tree else []
        if tree is None or not found:
            return None
        for node in found:
            project = node.catalog or scope.project_id
            dataset = None if not node.db or node.db.lower().startswith("region-") else node.db
            content = rows(scope, project, dataset)
            key = re.sub(r"\W", "_", f"view_{project}_{dataset}_{name}")
            node.replace(_stored(content, key, scope.context.engine, _visible_name(node)))
        return tree.sql(dialect=DIALECT)

    return Mend(words=(name.partition(".")[0],), rewrite=rewrite)


def arrow_rows(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Put rows into a table.

    Args:
        schema: names and types of its columns.
        rows: the rows.

    Returns:
        The table.
    """
    names = schema.names
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


def _visible_name(node: exp.Table) -> str:
    # sqlglot aliases a quoted path by its own text, which is no valid alias for another table.
    return node.alias.rpartition(".")[2] or node.name.rpartition(".")[2]


def _stored(rows: pa.Table, key: str, engine: Any, alias: str) -> exp.Table:
    # In the one schema whose names the emulator leaves alone; replaced every time, so never more than one a view.
    source = f"rows_{uuid.uuid4().hex}"
    connection = engine.connection
    connection.register(source, rows)
    try:
        connection.execute(
            f'create or replace table "{SNAPSHOTS_SCHEMA}"."{key}" as select * from {source}'  # noqa: S608
        )
    finally:
        connection.unregister(source)
    return exp.table_(key, db=SNAPSHOTS_SCHEMA, quoted=True, alias=exp.to_identifier(alias, quoted=True))
