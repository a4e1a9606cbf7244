"""The tables of the audit dataset that the ingester appends to, declared once for `ingest setup` and for Terraform."""

from dataclasses import dataclass

from google.cloud import bigquery

from core.settings import Settings


@dataclass(frozen=True)
class AuditColumn:
    """A column of an audit table.

    Attributes:
        name: column name.
        data_type: GoogleSQL type, one that `ingest.proto` can write.
        required: whether null is refused; a column added later must not be.
        description: meaning, shown in BigQuery.
    """

    name: str
    data_type: str
    required: bool
    description: str


@dataclass(frozen=True)
class AuditTable:
    """An append-only table of the audit dataset.

    Attributes:
        name: table name.
        description: what a row is, shown in BigQuery.
        columns: in the order of the physical table.
        partition_by: the TIMESTAMP whose day is the partition.
        clustering: columns to cluster by.
    """

    name: str
    description: str
    columns: tuple[AuditColumn, ...]
    partition_by: str
    clustering: tuple[str, ...]

    def fields(self) -> list[bigquery.SchemaField]:
        """Return the columns as BigQuery's client takes them."""
        return [
            bigquery.SchemaField(
                column.name,
                column.data_type,
                mode="REQUIRED" if column.required else "NULLABLE",
                description=column.description,
            )
            for column in self.columns
        ]

    def definition(self, settings: Settings) -> bigquery.Table:
        """Return the table's definition.

        Args:
            settings: the project and the audit dataset.

        Returns:
            Columns, partitioning by day, clustering and description.
        """
        table = bigquery.Table(f"{settings.project}.{settings.audit_dataset}.{self.name}", self.fields())
        table.time_partitioning = bigquery.TimePartitioning(field=self.partition_by)
        table.clustering_fields = list(self.clustering)
        table.description = self.description
        return table
