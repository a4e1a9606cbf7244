"""The table of schema drift: how payloads differ from their contracts, told once for each set of field names."""

from typing import Final

from ingest.audit_tables import AuditColumn, AuditTable
from ingest.proto import RowType, row_type

SCHEMA_DRIFT: Final = AuditTable(
    "schema_drift",
    "Fields of payloads that do not fit their contract; once a run for each set of field names. Append-only.",
    (
        AuditColumn("table_name", "STRING", True, "Raw table."),
        AuditColumn("change", "STRING", True, "new_field, missing_field or type_changed."),
        AuditColumn("field", "STRING", True, "Field of the payload, or column of the contract."),
        AuditColumn("expected_type", "STRING", False, "The contract's type; null for a new field."),
        AuditColumn("seen_type", "STRING", False, "Type the value looks like; null for a missing field."),
        AuditColumn(
            "sample",
            "STRING",
            False,
            "The value as JSON; just its kind and length for a new field or a column with a class of personal data.",
        ),
        AuditColumn("schema_fingerprint", "STRING", True, "Fingerprint of the payload's field names."),
        AuditColumn("first_seen", "TIMESTAMP", True, "When the run first saw it (UTC); the partition."),
        AuditColumn("event_id", "STRING", True, "Message that held it."),
        AuditColumn("load_id", "STRING", True, "Run of the ingester."),
    ),
    partition_by="first_seen",
    clustering=("table_name", "field"),
)
SCHEMA_DRIFT_TYPE: Final[RowType] = row_type("SchemaDrift", SCHEMA_DRIFT.columns)
