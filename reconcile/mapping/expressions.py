"""Expressions over the columns of one side, in DuckDB's SQL: one value a row, the same in every run.

What an expression may be is read off its parse tree (`json_serialize_sql` in DuckDB's manual): no query within it, no
window, no aggregate, and no function that may answer otherwise the next time, such as `now`. The engine that evaluates
it reaches neither files nor the network.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import duckdb
import pyarrow as pa

from core.errors import ConfigurationError

_CONFIG: Final[dict[str, Any]] = {
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_QUERIES: Final = frozenset({"SUBQUERY", "WINDOW", "STAR", "PARAMETER"})


@dataclass(frozen=True)
class Evaluator:
    """Evaluates expressions over batches.

    Attributes:
        connection: the engine.
    """

    connection: duckdb.DuckDBPyConnection

    def values(self, expression: str, batch: pa.RecordBatch | pa.Table) -> pa.Array:
        """Return the value of an expression for every row.

        Args:
            expression: one that `check` has passed.
            batch: the rows, with the columns that it refers to.

        Raises:
            ValueError: when it cannot be evaluated for some row, or gives not one value a row.
        """
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        try:
            self.connection.register("batch", table)
            found = self.connection.execute(f"select ({expression}) as v from batch").to_arrow_table()  # noqa: S608 - checked to be one expression
        except duckdb.Error as error:
            raise ValueError(_words(error, is_of_rows=table.num_rows > 0)) from None
        if found.num_rows != table.num_rows:
            raise ValueError("it gives not one value a row: an aggregate is none")
        column = found.column("v").combine_chunks()
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _words(error: duckdb.Error, *, is_of_rows: bool) -> str:
    """Return what the engine says; of rows only the kind of error, for the rest quotes their values."""
    text = str(error).splitlines()[0]
    return f"{text.partition(':')[0]} for some row; evaluate it with try_cast or try(...)" if is_of_rows else text


@contextmanager
def evaluator() -> Iterator[Evaluator]:
    """Start an engine for expressions, which reaches nothing but what it is given."""
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set lock_configuration = true")
        yield Evaluator(connection)


def references(expression: str) -> frozenset[str]:
    """Return the columns that an expression refers to; an expression over structs refers to their column.

    Args:
        expression: DuckDB's SQL.

    Returns:
        Names; parameters of lambdas are none.

    Raises:
        ConfigurationError: when it is no expression, or one that is not allowed.
    """
    query = f"select ({expression}) from batch"  # noqa: S608 - parsed, and never run
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        [[text]] = connection.execute("select json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise ConfigurationError(f"the expression {expression!r} is not valid: {tree['error_message']}")
    if not _is_one_expression(tree):
        raise ConfigurationError(f"the expression {expression!r} must be a single expression")
    names: set[str] = set()
    parameters: set[str] = set()
    for node in _nodes(tree["statements"][0]["node"]["select_list"]):
        if node.get("class") in _QUERIES:
            raise ConfigurationError(f"the expression {expression!r} must be of a row's own columns: no queries, no *")
        if node.get("class") == "COLUMN_REF":
            names.add(node["column_names"][0])
        if node.get("class") == "LAMBDA":
            parameters |= {name for part in _nodes(node["lhs"]) for name in part.get("column_names", ())}
        named = node.get("function_name") or (node["column_names"][0] if node.get("class") == "COLUMN_REF" else "")
        if named.lower() in _fickle():
            raise ConfigurationError(f"the expression {expression!r} uses {named}, which may differ from run to run")
    return frozenset(names - parameters)


def type_of(expression: str, inputs: pa.Schema) -> pa.DataType:
    """Return the Arrow type of an expression's values.

    Args:
        expression: DuckDB's SQL.
        inputs: the columns that it may refer to.

    Raises:
        ConfigurationError: when it refers to others, or its types do not go together, or it aggregates.
    """
    with evaluator() as engine:
        try:
            return engine.values(expression, inputs.empty_table()).type
        except ValueError as error:
            raise ConfigurationError(f"the expression {expression!r}: {error}") from error


def _is_one_expression(tree: dict[str, Any]) -> bool:
    """Return whether what was parsed is the query that the expression was put into, and nothing that it added."""
    if len(tree["statements"]) != 1:
        return False
    node = tree["statements"][0]["node"]
    source = node.get("from_table", {})
    clauses = ("where_clause", "group_expressions", "having", "qualify", "sample")
    return (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and source.get("table_name") == "batch"
        and not node["modifiers"]
        and not any(node.get(clause) for clause in clauses)
    )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _nodes(part)


@cache
def _fickle() -> frozenset[str]:
    """Return the functions that may answer otherwise for the same arguments."""
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        found = connection.execute("select function_name from duckdb_functions() where stability <> 'CONSISTENT'")
        names = {name for (name,) in found.fetchall()}
    return frozenset({*names, "current_timestamp", "current_time", "localtime", "localtimestamp", "getenv"})
