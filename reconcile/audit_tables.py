"""Tables of the audit dataset that reconciliation appends to: each append is one load job, which happens once."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import UnavailableError
from core.settings import Settings


@dataclass(frozen=True)
class AuditTable:
    """A table of the audit dataset.

    Attributes:
        name: its name.
        description: what a row is.
        schema: its columns.
        partition_column: the timestamp that it is partitioned by, a day a partition.
    """

    name: str
    description: str
    schema: tuple[bigquery.SchemaField, ...]
    partition_column: str

    def path(self, settings: Settings) -> str:
        """Return `project.dataset.table`.

        Args:
            settings: the project and the audit dataset.
        """
        return f"{settings.project}.{settings.audit_dataset}.{self.name}"


def append(
    client: bigquery.Client, settings: Settings, table: AuditTable, rows: Sequence[Mapping[str, Any]], job_id: str
) -> None:
    """Append rows by a load job of a given name, which happens once or not at all.

    In the environments `local` and `dev` a missing dataset, table or column is made; elsewhere they are Terraform's.

    Args:
        client: where to write.
        settings: the audit dataset and the environment.
        table: the table.
        rows: what to append, as JSON values.
        job_id: name of the job; a second one of the same name appends nothing.

    Raises:
        UnavailableError: when BigQuery refuses, with what to do about it.
    """
    name = table.path(settings)
    try:
        _prepare(client, settings, table)
        if rows:
            _load(client, name, table, rows, job_id)
    except NotFound as error:
        raise UnavailableError(f"{name}: is not there; apply the Terraform of the audit dataset") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{name}: the audit rows were not written: {error}") from error


def _prepare(client: bigquery.Client, settings: Settings, table: AuditTable) -> None:
    """Make a table, and add the columns it lacks, where that is not Terraform's."""
    if settings.environment not in ("local", "dev"):
        return
    dataset = bigquery.Dataset(f"{settings.project}.{settings.audit_dataset}")
    dataset.location = settings.location
    client.create_dataset(dataset, exists_ok=True)
    wanted = bigquery.Table(table.path(settings), schema=list(table.schema))
    wanted.time_partitioning = bigquery.TimePartitioning(field=table.partition_column)
    wanted.description = table.description
    there = client.create_table(wanted, exists_ok=True)
    held = {field.name for field in there.schema}
    added = [field for field in table.schema if field.name not in held]
    if added:
        # Made by an earlier version: columns that came since are nullable, and are added at the end.
        there.schema = [*there.schema, *added]
        client.update_table(there, ["schema"])


def _load(
    client: bigquery.Client, name: str, table: AuditTable, rows: Sequence[Mapping[str, Any]], job_id: str
) -> None:
    config = bigquery.LoadJobConfig(
        schema=list(table.schema),
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
    )
    lines = b"\n".join(msgspec.json.encode(row) for row in rows)
    try:
        job = client.load_table_from_file(io.BytesIO(lines), name, job_id=job_id, job_config=config)
    except Conflict:
        # The first answer was lost on its way, or another task ends the same run: the job of this name is ours.
        job = client.get_job(job_id)
    job.result()
