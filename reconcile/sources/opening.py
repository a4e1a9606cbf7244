"""From the table that a plan names to the source that is read."""

from collections.abc import Iterator
from contextlib import contextmanager

from reconcile.plans import DatabaseSpec, FileSet, TableSpec
from reconcile.read.budget import MessageBudget
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.files import FileSource
from reconcile.sources.model import Source
from reconcile.sources.postgresql import open_postgresql
from reconcile.sources.postgresql_session import are_together
from reconcile.sources.services import Services
from reconcile.sources.snowflake import open_snowflake


@contextmanager
def open_source(
    table: TableSpec, services: Services, *, workers: int = 1, budget: MessageBudget | None = None
) -> Iterator[Source]:
    """Open a source, pinned for as long as it is open.

    Args:
        table: the table.
        services: where it is.
        workers: how many units of it will be read at once.
        budget: what messages of the Storage Read API may take; None for one message at a time.

    Yields:
        The source.

    Raises:
        UnreadableError: when it cannot be opened.
        ConfigurationError: when what it needs is not installed or not configured; the message says what.
    """
    if isinstance(table, FileSet):
        yield FileSource(services.store(table.root), table)
    elif isinstance(table, DatabaseSpec):
        opened = open_snowflake(table) if table.kind == "snowflake" else open_postgresql(table, workers)
        with opened as source:
            yield source
    else:
        yield BigQuerySource(services, table, workers, budget or MessageBudget(0))


@contextmanager
def open_sides(
    warehouse: TableSpec,
    snapshot: TableSpec,
    services: Services,
    *,
    workers: int = 1,
    budget: MessageBudget | None = None,
) -> Iterator[tuple[Source, Source]]:
    """Open both sides of a comparison; two tables of one PostgreSQL database are pinned in one snapshot.

    Args:
        warehouse: the table of one side.
        snapshot: that of the other.
        services: where they are.
        workers: how many units of each will be read at once.
        budget: what messages of the Storage Read API may take on both sides together; None for one message at a time.

    Yields:
        Both sources, for as long as they are open.

    Raises:
        UnreadableError: when one cannot be opened.
        ConfigurationError: when what it needs is not installed or not configured; the message says what.
    """
    if isinstance(warehouse, DatabaseSpec) and isinstance(snapshot, DatabaseSpec) and are_together(warehouse, snapshot):
        with (
            open_postgresql(warehouse, workers, beside=snapshot) as first,
            open_postgresql(snapshot, workers, joining=first) as second,
        ):
            yield first, second
        return
    with (
        open_source(warehouse, services, workers=workers, budget=budget) as left,
        open_source(snapshot, services, workers=workers, budget=budget) as right,
    ):
        yield left, right
