"""The warehouse's part: statements run by BigQuery, and the rows of some buckets through the Storage Read API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import UnreadableError
from reconcile.compare.tree import Leaf, Leaves
from reconcile.plans import ComparisonPlan
from reconcile.pushdown.aggregates import aggregates
from reconcile.pushdown.buckets import KeyBuckets, key_buckets
from reconcile.pushdown.statements import (
    Statement,
    aggregate_statement,
    checksum_statement,
    count_statement,
    rows_statement,
)
from reconcile.result import Mode
from reconcile.sources.bigquery import BigQuerySource, googlesql
from reconcile.sources.model import Predicate, Rows


def count(source: BigQuerySource, plan: ComparisonPlan) -> int:
    """Return the number of rows that the warehouse holds.

    Args:
        source: the table.
        plan: the comparison.

    Raises:
        UnreadableError: when BigQuery does not tell.
    """
    [[rows]] = _answer(source, count_statement(plan, source.table, source.pin.at))
    return int(rows)


def aggregated(source: BigQuerySource, plan: ComparisonPlan, measures: list[str]) -> tuple[int, tuple[Any, ...]]:
    """Return the number of rows that the warehouse holds, and aggregates of them.

    Args:
        source: the table.
        plan: the comparison.
        measures: aggregates, in GoogleSQL over `c0`, `c1`, ...

    Raises:
        UnreadableError: when BigQuery does not tell.
    """
    [[rows, *found]] = _answer(source, aggregate_statement(plan, source.table, source.pin.at, measures))
    return int(rows), tuple(found)


def leaves(source: BigQuerySource, plan: ComparisonPlan, buckets: KeyBuckets) -> Leaves:
    """Return the checksums of the rows that the warehouse holds.

    Args:
        source: the table.
        plan: the comparison.
        buckets: how keys are put into buckets.

    Raises:
        UnreadableError: when BigQuery does not tell.
    """
    answer = _answer(source, checksum_statement(plan, source.table, source.pin.at, buckets))
    return {bucket: Leaf(rows, int(total)) for bucket, rows, total in answer}


def rows(source: BigQuerySource, plan: ComparisonPlan, restriction: str) -> Rows:
    """Return some rows of the warehouse, to be read in parts.

    Args:
        source: the table.
        plan: the comparison.
        restriction: GoogleSQL condition beside those of the plan; empty for none.

    Raises:
        UnreadableError: when they cannot be read.
    """
    where = googlesql(Predicate(plan.warehouse.where))
    tests = " and ".join(f"({test})" for test in (where, restriction) if test)
    return source.restricted(tuple(column.name for column in plan.columns), tests)


def billed(source: BigQuerySource, plan: ComparisonPlan, mode: Mode) -> int | None:
    """Return how many bytes BigQuery says that the warehouse's part processes, by a dry run, which is free.

    Rows through the Storage Read API are not a query; the query of the same columns processes the same bytes. See
    "Estimate query costs" in BigQuery's guides.

    Args:
        source: the table.
        plan: the comparison.
        mode: how it is compared; in `typed`, and in `sample`, rows are read.

    Returns:
        The bytes; None where the service does not say.

    Raises:
        UnreadableError: when BigQuery refuses the statement.
    """
    config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    statement = _statement(source, plan, mode)
    config.query_parameters = statement.parameters
    with _told(source):
        found = source.services.bigquery().query(statement.sql, job_config=config).total_bytes_processed
    # A stand-in that knows no sizes says nothing, or zero.
    return int(found) if found else None


def _statement(source: BigQuerySource, plan: ComparisonPlan, mode: Mode) -> Statement:
    at = source.pin.at
    if mode == "count":
        return count_statement(plan, source.table, at)
    if mode == "aggregate":
        return aggregate_statement(plan, source.table, at, [sql for _, sql in aggregates(plan.columns, "googlesql")])
    if mode == "checksum":
        return checksum_statement(plan, source.table, at, key_buckets(plan.key, ()))
    return rows_statement(plan, source.table, at)


def _answer(source: BigQuerySource, statement: Statement) -> list[tuple[Any, ...]]:
    with _told(source):
        config = bigquery.QueryJobConfig(query_parameters=statement.parameters)
        job = source.services.bigquery().query(statement.sql, job_config=config)
        return [tuple(row) for row in job.result()]


@contextmanager
def _told(source: BigQuerySource) -> Iterator[None]:
    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnreadableError(
            f"{source.table}: BigQuery cannot compute its side (the account needs bigquery.jobUser and "
            f"bigquery.dataViewer): {error}"
        ) from error
