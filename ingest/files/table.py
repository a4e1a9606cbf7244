"""The table of loaded files: which object, in which version, was loaded by which run, with how many rows.

It is what people look at, and what a listing is held against: an object that stands there is not loaded again.
"""

from typing import Final

from ingest.audit_tables import AuditColumn, AuditTable
from ingest.proto import RowType, row_type

LOADED_FILES: Final = AuditTable(
    "loaded_files",
    "Objects that were loaded: one row each, written once every row of the object was landed or dead-lettered. "
    "Append-only.",
    (
        AuditColumn("uri", "STRING", True, "Where the object lies."),
        AuditColumn("version", "STRING", True, "Its generation (Cloud Storage), or ETag (S3, files)."),
        AuditColumn("state", "STRING", True, "loaded, superseded (replaced before it was read) or unreadable."),
        AuditColumn("table_name", "STRING", False, "Raw table of its rows; null when no contract claims it."),
        AuditColumn("row_count", "INT64", True, "Rows read, those that were dead-lettered included."),
        AuditColumn("byte_count", "INT64", False, "Length of the object, in bytes."),
        AuditColumn("error", "STRING", False, "Why it is unreadable."),
        AuditColumn("modified_at", "TIMESTAMP", False, "When this version was written (UTC)."),
        AuditColumn("loaded_at", "TIMESTAMP", True, "When the last of it was settled (UTC); the partition."),
        AuditColumn("load_id", "STRING", True, "Run of the ingester."),
    ),
    partition_by="loaded_at",
    clustering=("uri",),
)
LOADED_FILE_TYPE: Final[RowType] = row_type("LoadedFile", LOADED_FILES.columns)
