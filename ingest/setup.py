"""Creating what the ingester reads and writes, on a laptop and in development; elsewhere terraform does."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import structlog
from google.api_core.exceptions import AlreadyExists
from google.cloud import bigquery

from core.clients import bigquery_client, publisher_client, subscriber_client
from core.contracts import Contracts, TableContract
from core.errors import ConfigurationError
from core.objects import make_place
from core.raw_row import PARTITION_COLUMN, RAW_COLUMNS
from core.settings import Settings
from ingest.audit_tables import AuditTable
from ingest.dead_letters import DEAD_LETTER_REPLAYS, DEAD_LETTERS
from ingest.drift.table import SCHEMA_DRIFT
from ingest.files.table import LOADED_FILES
from ingest.resources import subscription_path, topic_path
from ingest.watermarks import WATERMARKS

_log = structlog.get_logger(__name__)

ACK_DEADLINE_S: Final = 60
RETENTION: Final = timedelta(days=1)
"""How long topics keep what was published, also once it was acknowledged."""

KEEP_SUFFIX: Final = "-keep"
_MAX_DESCRIPTION: Final = 1_024

AUDIT_TABLES: Final[tuple[AuditTable, ...]] = (
    DEAD_LETTERS,
    DEAD_LETTER_REPLAYS,
    LOADED_FILES,
    SCHEMA_DRIFT,
    WATERMARKS,
)
"""The tables of the audit dataset that the ingester appends to; `terraform/schemas.py` reads them too."""


def set_up(settings: Settings, contracts: Contracts, oversize_uri: str | None = None) -> None:
    """Create topics, subscriptions, datasets and tables that are not there yet.

    Args:
        settings: where.
        contracts: the tables.
        oversize_uri: where what fits no row is kept; its bucket is created too.

    Raises:
        ConfigurationError: outside `local` and `dev`, where terraform owns them.
    """
    if settings.environment not in ("local", "dev"):
        raise ConfigurationError(
            f"environment is {settings.environment!r}: its topics and tables belong to terraform; run terraform apply"
        )
    _set_up_pubsub(settings, contracts)
    _set_up_bigquery(settings, contracts)
    if oversize_uri is not None:
        make_place(oversize_uri, settings)


def _set_up_pubsub(settings: Settings, contracts: Contracts) -> None:
    publisher, subscriber = publisher_client(settings), subscriber_client(settings)
    try:
        for topic in _topics(contracts):
            _create_topic(publisher, settings, topic)
            _keep_published(publisher, settings, topic)
            _create_subscription(subscriber, settings, topic, subscription_path(settings, topic), ordered=True)
        _create_topic(publisher, settings, settings.dead_letter_topic)
        # A topic without a subscription forgets what is published to it.
        keep = f"projects/{settings.project}/subscriptions/{settings.dead_letter_topic}{KEEP_SUFFIX}"
        _create_subscription(subscriber, settings, settings.dead_letter_topic, keep, ordered=False)
    finally:
        publisher.stop()
        subscriber.close()


def _topics(contracts: Contracts) -> Iterator[str]:
    yield from contracts.by_topic()
    yield from contracts.notification_topics()


def _create_topic(publisher: Any, settings: Settings, topic: str) -> None:
    _create(publisher.create_topic, {"name": topic_path(settings, topic)})


def _keep_published(publisher: Any, settings: Settings, topic: str) -> None:
    """Have a topic keep what is published, so that `ingest replay` has something to bring back; what is set stays."""
    found = publisher.get_topic(request={"topic": topic_path(settings, topic)})
    if not found.message_retention_duration:
        kept = {"name": found.name, "message_retention_duration": RETENTION}
        publisher.update_topic(request={"topic": kept, "update_mask": {"paths": ["message_retention_duration"]}})


def _create_subscription(subscriber: Any, settings: Settings, topic: str, name: str, *, ordered: bool) -> None:
    _create(
        subscriber.create_subscription,
        {
            "name": name,
            "topic": topic_path(settings, topic),
            "ack_deadline_seconds": ACK_DEADLINE_S,
            "enable_message_ordering": ordered,
        },
    )


def _create(method: Callable[..., Any], request: dict[str, Any]) -> None:
    try:
        method(request=request)
    except AlreadyExists:
        return
    _log.info("created", name=request["name"])


def _set_up_bigquery(settings: Settings, contracts: Contracts) -> None:
    client = bigquery_client(settings)
    try:
        for dataset in sorted({contract.dataset for contract in contracts.values()} | {settings.audit_dataset}):
            reference = bigquery.Dataset(f"{settings.project}.{dataset}")
            reference.location = settings.location
            client.create_dataset(reference, exists_ok=True)
        for contract in contracts.values():
            client.create_table(raw_table(settings, contract), exists_ok=True)
        for audit_table in AUDIT_TABLES:
            _set_up_audit_table(client, settings, audit_table)
    finally:
        client.close()
    _log.info("tables are there", tables=len(contracts) + len(AUDIT_TABLES))


def _set_up_audit_table(client: bigquery.Client, settings: Settings, declared: AuditTable) -> None:
    """Create an audit table; one that an earlier version made gets the columns it lacks."""
    table = client.create_table(declared.definition(settings), exists_ok=True)
    there = {field.name for field in table.schema}
    missing = [field for field in declared.fields() if field.name not in there]
    if missing:
        table.schema = [*table.schema, *missing]
        client.update_table(table, ["schema"])
        _log.info("columns added", table=declared.name, columns=[field.name for field in missing])


def raw_table(settings: Settings, contract: TableContract) -> bigquery.Table:
    """Return the definition of a raw table.

    Args:
        settings: the project.
        contract: the table.

    Returns:
        Columns, partitioning by time of append, clustering, description and labels. Nothing expires by BigQuery's own
        clock: maintenance deletes what is past the contract's `retention_days`, once structure has applied it.
    """
    table = bigquery.Table(f"{settings.project}.{contract.dataset}.{contract.name}", _fields(RAW_COLUMNS))
    table.time_partitioning = bigquery.TimePartitioning(type_=contract.partition_by.upper(), field=PARTITION_COLUMN)
    table.clustering_fields = list(contract.cluster_by)
    table.require_partition_filter = contract.require_partition_filter
    table.description = contract.description[:_MAX_DESCRIPTION]
    table.labels = {"owner": contract.owner, "zone": "raw"}
    return table


def _fields(columns: Iterable[Any]) -> list[bigquery.SchemaField]:
    return [
        bigquery.SchemaField(
            column.name,
            column.data_type,
            mode="REQUIRED" if column.required else "NULLABLE",
            description=column.description,
        )
        for column in columns
    ]
