"""A side that answers for itself: what BigQuery and PostgreSQL are asked, behind one interface."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Protocol

from reconcile.compare.tree import Leaves
from reconcile.plans import ComparisonPlan
from reconcile.pushdown import remote
from reconcile.pushdown.aggregates import aggregates, measures
from reconcile.pushdown.buckets import KeyBuckets, sample_restriction
from reconcile.pushdown.suits import refusal
from reconcile.read.sides import Side, side_columns
from reconcile.reading import Reading
from reconcile.result import Mode
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.model import Predicate, Rows, wanted
from reconcile.sources.postgresql import PostgresqlSource


class AskedSide(Protocol):
    """One side of a comparison, which sums itself up and hands over only the rows that are wanted."""

    def count(self) -> int:
        """Return the number of rows.

        Raises:
            UnreadableError: when it cannot be told; so do all of these.
        """

    def bounds(self) -> tuple[int, int] | None:
        """Return the least and the greatest value of the first key column, if that is an integer; None for none."""

    def aggregates(self) -> tuple[int, tuple[Any, ...]]:
        """Return the number of rows, and the aggregates that `reconcile.pushdown.aggregates.measures` names."""

    def leaves(self, buckets: KeyBuckets) -> Leaves:
        """Return the number of rows and the sum of their hashes by bucket.

        Args:
            buckets: how keys are put into buckets.
        """

    def every_row(self) -> Rows:
        """Return all rows, to be read."""

    def rows_of_buckets(self, buckets: KeyBuckets, found: Collection[int]) -> Rows:
        """Return the rows of some buckets, to be read.

        Args:
            buckets: how keys are put into buckets.
            found: the buckets; one at least.
        """

    def rows_of_sample(self, threshold: int) -> Rows:
        """Return the rows whose key's hash is below a threshold, to be read.

        Args:
            threshold: a share of 2^60.
        """


def asked_sides(reading: Reading, mode: Mode) -> tuple[Side, ...]:
    """Return the sides of a comparison that answer for themselves.

    Args:
        reading: both sides, opened.
        mode: how they are compared.
    """
    both: tuple[Side, ...] = ("warehouse", "snapshot")
    return tuple(side for side in both if refusal(reading.plan, reading.source(side), mode, side) is None)


def asked_side(reading: Reading, side: Side, mode: Mode) -> AskedSide | None:
    """Return one side of a comparison as one that answers for itself; None when it cannot.

    Args:
        reading: both sides, opened.
        side: which side.
        mode: how they are compared.
    """
    source = reading.source(side)
    if refusal(reading.plan, source, mode, side) is not None:
        return None
    if isinstance(source, BigQuerySource):
        return _BigQuerySide(source, as_warehouse(reading.plan, side))
    if isinstance(source, PostgresqlSource):
        return _PostgresqlSide(source, as_warehouse(reading.plan, side), reading.predicate(side))
    return None


def as_warehouse(plan: ComparisonPlan, side: Side) -> ComparisonPlan:
    """Return a comparison as it looks with one of its sides in the warehouse's place.

    Args:
        plan: the comparison.
        side: the side.
    """
    if side == "warehouse":
        return plan
    moved = replace(plan.warehouse, table=plan.snapshot.spec, where=plan.snapshot.where, in_flight=None)
    return replace(plan, columns=side_columns(plan, side), warehouse=moved)


@dataclass(frozen=True)
class _BigQuerySide:
    source: BigQuerySource
    plan: ComparisonPlan

    def count(self) -> int:
        return remote.count(self.source, self.plan)

    def bounds(self) -> tuple[int, int] | None:
        if self.plan.key[0].data_type != "int64":
            return None
        _, (low, high) = remote.aggregated(self.source, self.plan, ["min(c0)", "max(c0)"])
        return None if low is None else (low, high)

    def aggregates(self) -> tuple[int, tuple[Any, ...]]:
        statements = [sql for _, sql in aggregates(self.plan.columns, "googlesql")]
        return remote.aggregated(self.source, self.plan, statements)

    def leaves(self, buckets: KeyBuckets) -> Leaves:
        return remote.leaves(self.source, self.plan, replace(buckets, key=self.plan.key))

    def every_row(self) -> Rows:
        return remote.rows(self.source, self.plan, "")

    def rows_of_buckets(self, buckets: KeyBuckets, found: Collection[int]) -> Rows:
        return remote.rows(self.source, self.plan, replace(buckets, key=self.plan.key).restriction(found))

    def rows_of_sample(self, threshold: int) -> Rows:
        return remote.rows(self.source, self.plan, sample_restriction(self.plan.key, threshold))


@dataclass(frozen=True)
class _PostgresqlSide:
    source: PostgresqlSource
    plan: ComparisonPlan
    predicate: Predicate

    def count(self) -> int:
        return self.source.count(self.predicate)

    def bounds(self) -> tuple[int, int] | None:
        first = self.plan.key[0]
        return self.source.bounds(first, self.predicate) if first.data_type == "int64" else None

    def aggregates(self) -> tuple[int, tuple[Any, ...]]:
        return self.source.aggregates(self.plan.columns, measures(self.plan.columns), self.predicate)

    def leaves(self, buckets: KeyBuckets) -> Leaves:
        return self.source.checksums(self.plan.columns, replace(buckets, key=self.plan.key), self.predicate)

    def every_row(self) -> Rows:
        return self.source.rows(wanted(self.plan.columns), self.predicate)

    def rows_of_buckets(self, buckets: KeyBuckets, found: Collection[int]) -> Rows:
        buckets = replace(buckets, key=self.plan.key)
        return self.source.rows_of_buckets(self.plan.columns, buckets, found, self.predicate)

    def rows_of_sample(self, threshold: int) -> Rows:
        return self.source.rows_of_sample(self.plan.columns, threshold, self.predicate)
