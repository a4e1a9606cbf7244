"""The table of watermarks: what every process of the ingester says of its progress, window by window."""

from typing import Final

from ingest.audit_tables import AuditColumn, AuditTable
from ingest.proto import RowType, row_type

WATERMARKS: Final = AuditTable(
    "watermarks",
    "Event-time progress of each table, by each process of the ingester that lands it, once a window. Append-only.",
    (
        AuditColumn("writer", "STRING", True, "The process of the ingester that says so; never used twice."),
        AuditColumn("load_id", "STRING", True, "Run of the ingester."),
        AuditColumn("table_name", "STRING", True, "Raw table."),
        AuditColumn("reported_at", "TIMESTAMP", True, "When it was said (UTC); the partition."),
        AuditColumn(
            "watermark",
            "TIMESTAMP",
            False,
            "Every event before it has landed, as far as this writer can tell; null before the first.",
        ),
        AuditColumn("newest_event_ts", "TIMESTAMP", False, "Event time of the newest row landed."),
        AuditColumn("oldest_unacked_age_ms", "INT64", False, "Age of the oldest message in flight; null without one."),
        AuditColumn("last_position", "STRING", False, "Greatest _source_position landed."),
        AuditColumn("in_flight", "INT64", True, "Rows received and neither landed nor dead-lettered."),
        AuditColumn("rows_landed", "INT64", True, "Rows landed since the writer began."),
        AuditColumn("rows_late", "INT64", True, "Those of them that were older than the watermark when they landed."),
        AuditColumn("remembered_ids", "INT64", True, "Message ids by which the writer knows repetitions; all tables."),
        AuditColumn("is_idle", "BOOL", True, "Whether the source was quiet, so that the watermark follows the clock."),
        AuditColumn("is_final", "BOOL", True, "Whether the writer has ended, with nothing in flight left."),
    ),
    partition_by="reported_at",
    clustering=("table_name",),
)
WATERMARK_TYPE: Final[RowType] = row_type("Watermark", WATERMARKS.columns)
