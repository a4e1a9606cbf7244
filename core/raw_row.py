"""The raw row: the one physical shape of every raw table.

Raw tables are append-only and at least once. The row image stays text, so that numbers keep every digit
and a field nobody has declared yet is landed all the same; what identifies, orders and traces the change
stands beside it in columns that begin with an underscore.
"""

from dataclasses import dataclass
from typing import Final, Literal

RawType = Literal["STRING", "BOOL", "INT64", "TIMESTAMP"]


@dataclass(frozen=True)
class RawColumn:
    """A column of the raw row.

    Attributes:
        name: column name.
        data_type: GoogleSQL type.
        required: whether null is refused.
        description: meaning, shown in BigQuery and in the docs.
    """

    name: str
    data_type: RawType
    required: bool
    description: str


RAW_COLUMNS: Final = (
    RawColumn("payload", "STRING", False, "The row image after the change, exactly as it came; null for deletes."),
    RawColumn("before", "STRING", False, "The row image before the change, when the source sends it."),
    RawColumn("_op", "STRING", True, "INSERT, UPDATE, DELETE, SNAPSHOT or TRUNCATE."),
    RawColumn("_op_inferred", "BOOL", True, "Whether _op was worked out rather than stated by the source."),
    RawColumn("_key", "STRING", False, "Canonical JSON of the primary key; null for TRUNCATE."),
    RawColumn("_source_system", "STRING", True, "System the change comes from."),
    RawColumn("_source_table", "STRING", True, "Table of that system, with its schema."),
    RawColumn("_source_ts", "TIMESTAMP", False, "When the change was made at the source (UTC)."),
    RawColumn(
        "_source_position",
        "STRING",
        False,
        "Place in the source's log, zero-padded: text order is log order.",
    ),
    RawColumn("_source_sequence", "INT64", False, "Order among changes of one position."),
    RawColumn(
        "_event_id",
        "STRING",
        True,
        "Pub/Sub message id, or load id and row number: the unit of deduplication.",
    ),
    RawColumn("_publish_ts", "TIMESTAMP", False, "When the message was published (UTC)."),
    RawColumn("_ingestion_ts", "TIMESTAMP", True, "When the ingester appended the row (UTC); the partition."),
    RawColumn("_load_id", "STRING", False, "Run of the ingester, or of the batch load, that appended the row."),
    RawColumn("_schema_fingerprint", "STRING", False, "Fingerprint of the payload's field names."),
    RawColumn("_trace_id", "STRING", False, "W3C trace id of the message, when it carried one."),
)
"""In the order of the physical table."""

PARTITION_COLUMN: Final = "_ingestion_ts"
CLUSTER_COLUMN: Final = "_key"
"""The cluster of a raw table whose contract names no other."""

CLUSTERABLE_COLUMNS: Final = tuple(one.name for one in RAW_COLUMNS if one.name[0] == "_")
"""What a raw table can be clustered by: BigQuery takes each of their types. The row images are nothing to look for."""

ADDED_COLUMNS: Final = frozenset({"is_deleted", "_carried"} | {one.name for one in RAW_COLUMNS if one.name[0] == "_"})
"""Names that no column of a contract may have: the structure zone adds columns of these names to every table."""
