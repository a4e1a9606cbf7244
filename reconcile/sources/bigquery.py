"""A BigQuery table: rows through the Storage Read API, counts as a query, both as of one instant."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.contracts import DataType
from core.errors import UnreadableError
from core.identifiers import qualified
from reconcile.compare.tree import Leaf, Leaves
from reconcile.plans import ComparisonPlan, PlannedColumn, SnapshotPlan, WarehousePlan
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.pushdown.statements import checksum_statement
from reconcile.read.budget import MessageBudget
from reconcile.read.filters import googlesql_literal, restriction
from reconcile.read.warehouse import WarehouseTable, open_session, read_stream, table_arrow_schema, table_schema
from reconcile.rules import EXACT
from reconcile.sources.checksums import check_forms, local_checksums
from reconcile.sources.model import EVERY_ROW, Part, Pin, Predicate, Rows, Wanted
from reconcile.sources.services import Services


@dataclass(frozen=True)
class BigQuerySource:
    """A table of BigQuery.

    Attributes:
        services: where it is.
        table: the table.
        streams: most streams that are read at once.
        budget: what the messages of all of them may take.
    """

    services: Services
    table: WarehouseTable
    streams: int
    budget: MessageBudget

    @property
    def pin(self) -> Pin:
        """See `Source.pin`."""
        return Pin(at=self.services.snapshot_time)

    def schema(self) -> dict[str, DataType | None]:
        """See `Source.schema`."""
        return table_schema(self.services.bigquery(), self.table)

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema that rows come in, nested columns included.

        Raises:
            UnreadableError: when the table is not there, or not ours to see.
        """
        return table_arrow_schema(self.services.bigquery(), self.table)

    def count(self, predicate: Predicate = EVERY_ROW) -> int:
        """See `Source.count`."""
        name = qualified(self.table.project, self.table.dataset, self.table.table)
        at = self.services.snapshot_time
        as_of = f" for system_time as of {googlesql_literal(at)}" if at is not None else ""
        where = googlesql(predicate)
        lines = ("select count(*) as row_count", f"from {name}{as_of}", *([f"where {where}"] if where else []))
        [[rows]] = self._answer("\n".join(lines))
        return int(rows)

    def checksums(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate = EVERY_ROW
    ) -> Leaves:
        """See `Source.checksums`; computed by BigQuery where no rule or cast has to be followed."""
        check_forms(columns)
        if predicate.in_flight or any(column.rule != EXACT or column.cast or column.origin for column in columns):
            return local_checksums(self, columns, buckets, predicate)
        side = WarehousePlan(self.table, predicate.where, None, "")
        plan = ComparisonPlan(str(self.table), None, columns, side, SnapshotPlan((), "bigquery", None, ()), ())
        found = checksum_statement(plan, self.table, self.services.snapshot_time, buckets)
        rows = self._answer(found.sql, found.parameters)
        return {bucket: Leaf(count, int(total)) for bucket, count, total in rows}

    def rows(self, columns: tuple[Wanted, ...], predicate: Predicate = EVERY_ROW) -> Rows:
        """See `Source.rows`."""
        return self.restricted(tuple(dict.fromkeys([column.name for column in columns])), googlesql(predicate))

    def restricted(self, names: tuple[str, ...], where: str) -> Rows:
        """Return the rows that a condition holds for, to be read in parts that share nothing.

        Args:
            names: the columns wanted.
            where: GoogleSQL filter; empty for every row.

        Raises:
            UnreadableError: when they cannot be read; the parts raise it, too.
        """
        reader = self.services.bigquery_read()
        session = open_session(
            reader, self.table, names, where, snapshot_time=self.services.snapshot_time, streams=self.streams
        )
        name = str(self.table)
        read = partial(read_stream, reader, self.table, session, budget=self.budget)
        return Rows(tuple(Part(name, partial(read, stream)) for stream in session.streams), receipt=session.name)

    def _answer(self, statement: str, parameters: Sequence[bigquery.ScalarQueryParameter] = ()) -> list[Any]:
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        try:
            return [tuple(row) for row in self.services.bigquery().query(statement, job_config=config).result()]
        except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
            raise UnreadableError(f"{self.table}: BigQuery does not answer: {error}") from error


def googlesql(predicate: Predicate) -> str:
    """Return a predicate as GoogleSQL, fit for a row restriction of the Storage Read API; empty for every row.

    Args:
        predicate: which rows.
    """
    where = restriction(predicate.where)
    if not where or predicate.in_flight is None:
        return where
    return f"({where}) or {predicate.in_flight.column} > {googlesql_literal(predicate.in_flight.after)}"
