"""GoogleSQL's own analyzer and reference evaluator, as the judge of what dbt sends to BigQuery.

They come as WebAssembly from PyPI's `zetasql`, a port of https://github.com/google/googlesql. What they refuse,
BigQuery refuses; what they evaluate, BigQuery evaluates so.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from analyzer import analyzer
from google.protobuf.empty_pb2 import Empty
from google.protobuf.text_format import MessageToString
from zetasql.core.exceptions import ServerError
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service_pb
from zetasql.wasi._pb2.zetasql.proto import options_pb2 as options_pb
from zetasql.wasi._pb2.zetasql.proto import simple_catalog_pb2 as catalog_pb
from zetasql.wasi._pb2.zetasql.public import simple_table_pb2 as table_pb
from zetasql.wasi._pb2.zetasql.public import type_pb2 as type_pb

Row = tuple[tuple[str, str], ...]
"""A row of a result: column name and value, as text that differs whenever the values do."""

# https://cloud.google.com/bigquery/docs/information-schema-tables
_TABLES_VIEW: Final = {
    "table_catalog": "STRING",
    "table_schema": "STRING",
    "table_name": "STRING",
    "table_type": "STRING",
    "creation_time": "TIMESTAMP",
}
_SYNONYMS: Final = {"INTEGER": "INT64", "FLOAT": "DOUBLE", "FLOAT64": "DOUBLE", "BOOLEAN": "BOOL"}


class Catalog:
    """The tables that statements may name; it follows what the statements create.

    It speaks to the analyzer in protocol buffers: the library's own objects cost ten times what the analysis does.
    """

    def __init__(self, project: str) -> None:
        """Make an empty catalog.

        Args:
            project: the project every table lies in.
        """
        self._project = project
        self._datasets: dict[str, dict[str, Any]] = {}
        self._analyzer = analyzer()
        self._options = _options()
        self._registered: int | None = None

    def add(self, dataset: str, table: str, columns: Mapping[str, str]) -> None:
        """Declare a table.

        Args:
            dataset: its dataset.
            table: its name.
            columns: GoogleSQL type by column, in any case.
        """
        self._put(dataset, table, [(name, _type(data_type)) for name, data_type in columns.items()])

    def analyze(self, sql: str) -> str | None:
        """Check a statement, and remember the table or view it makes.

        Args:
            sql: one statement.

        Returns:
            Why it is refused; None when it is accepted.
        """
        request = service_pb.AnalyzeRequest(
            sql_statement=sql, options=self._options, registered_catalog_id=self._registered_id()
        )
        try:
            answer = self._analyzer.call("Analyze", request, service_pb.AnalyzeResponse)
        except ServerError as error:
            return str(error)
        self._follow(answer.resolved_statement.resolved_create_statement_node)
        return None

    def tables(self) -> set[str]:
        """Return the names of all tables, as `dataset.table`."""
        return {f"{dataset}.{table}" for dataset, tables in self._datasets.items() for table in tables}

    def _follow(self, create: Any) -> None:
        """Remember what a statement makes; nothing when it is not a `create`."""
        bare = create.resolved_create_table_stmt_base_node.resolved_create_table_stmt_node.parent
        table = create.resolved_create_table_stmt_base_node.resolved_create_table_as_select_stmt_node.parent
        view = create.resolved_create_view_base_node.resolved_create_view_stmt_node.parent
        if table.parent.name_path:
            self._made(table.parent.name_path, [(column.name, column.type) for column in table.column_definition_list])
        elif bare.parent.name_path:
            self._made(bare.parent.name_path, [(column.name, column.type) for column in bare.column_definition_list])
        elif view.parent.name_path:
            columns = [(column.name, column.column.type) for column in view.output_column_list]
            self._made(view.parent.name_path, columns)

    def _made(self, path: Sequence[str], columns: list[tuple[str, Any]]) -> None:
        *_, dataset, table = path
        self._put(dataset, table, columns)

    def _put(self, dataset: str, table: str, columns: list[tuple[str, Any]]) -> None:
        made = table_pb.SimpleTableProto(name=table)
        for name, kind in columns:
            made.column.add(name=name, type=kind, is_writable_column=True)
        tables = self._datasets.setdefault(dataset, {})
        if tables.get(table) != made:
            tables[table] = made
            self._forget()

    def _forget(self) -> None:
        if self._registered is not None:
            request = service_pb.UnregisterRequest(registered_id=self._registered)
            self._analyzer.call("UnregisterCatalog", request, Empty)
            self._registered = None

    def _registered_id(self) -> int:
        if self._registered is None:
            request = service_pb.RegisterCatalogRequest(simple_catalog=self._catalog())
            answer = self._analyzer.call("RegisterCatalog", request, service_pb.RegisterResponse)
            self._registered = answer.registered_id
        return self._registered

    def _catalog(self) -> Any:
        root = catalog_pb.SimpleCatalogProto(name="root", builtin_function_options=_built_in())
        project = root.catalog.add(name=self._project)
        # Names may leave the project out.
        for parent in (project, root):
            for dataset, tables in self._datasets.items():
                made = parent.catalog.add(name=dataset)
                made.table.extend(tables.values())
                view = made.catalog.add(name="INFORMATION_SCHEMA").table.add(name="TABLES")
                for name, data_type in _TABLES_VIEW.items():
                    view.column.add(name=name, type=_type(data_type))
        return root


def evaluate(sql: str) -> list[Row]:
    """Run a query that reads no table.

    Args:
        sql: the query; its rows are inline.

    Returns:
        Its rows, in the order they came.

    Raises:
        ServerError: when it is refused, or fails.
    """
    answer = _evaluated(sql)
    names = [column.name for column in answer.prepared.columns]
    return [
        tuple(zip(names, (MessageToString(cell, as_one_line=True) for cell in row.cell), strict=True))
        for row in answer.content.table_data.row
    ]


def evaluate_text(sql: str) -> str:
    """Run a query whose result is one text, and return that as it is.

    Args:
        sql: the query; it reads no table.

    Raises:
        ServerError: when it is refused, or fails.
    """
    [row] = _evaluated(sql).content.table_data.row
    return str(row.cell[0].string_value)


def _evaluated(sql: str) -> Any:
    nothing = catalog_pb.SimpleCatalogProto(name="root", builtin_function_options=_built_in())
    request = service_pb.EvaluateQueryRequest(sql=sql, options=_options(), simple_catalog=nothing)
    return analyzer().call("EvaluateQuery", request, service_pb.EvaluateQueryResponse)


@cache
def _language() -> Any:
    request = service_pb.LanguageOptionsRequest(maximum_features=True)
    released = analyzer().call("GetLanguageOptions", request, options_pb.LanguageOptionsProto)
    features = released.enabled_language_features
    return options_pb.LanguageOptionsProto(enabled_language_features=features)


def _options() -> Any:
    # BigQuery's time zone, where the library's own would be Los Angeles.
    return options_pb.AnalyzerOptionsProto(language_options=_language(), default_timezone="UTC")


def _built_in() -> Any:
    return options_pb.ZetaSQLBuiltinFunctionOptionsProto(language_options=_language())


def without(rows: Iterable[Row], column: str) -> list[Row]:
    """Return rows without one of their columns, sorted."""
    return sorted(tuple(cell for cell in row if cell[0] != column) for row in rows)


def _type(data_type: str) -> Any:
    name = data_type.upper()
    kinds = type_pb.TypeKind
    if element := re.fullmatch(r"ARRAY<(.+)>", name):
        return type_pb.TypeProto(
            type_kind=kinds.TYPE_ARRAY, array_type=type_pb.ArrayTypeProto(element_type=_type(element[1]))
        )
    return type_pb.TypeProto(type_kind=kinds.Value(f"TYPE_{_SYNONYMS.get(name, name)}"))
