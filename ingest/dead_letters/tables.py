"""The table of dead letters, and the ledger of those that were sent again."""

from typing import Final

from ingest.audit_tables import AuditColumn, AuditTable
from ingest.proto import RowType, row_type

DEAD_LETTER_COLUMNS: Final = (
    AuditColumn("event_id", "STRING", True, "Pub/Sub message id."),
    AuditColumn("reason", "STRING", True, "Code of the reason, such as invalid_json."),
    AuditColumn("error", "STRING", False, "The error in words; never the data."),
    AuditColumn("attempts", "INT64", False, "Deliveries as Pub/Sub counts them, or requests to the API."),
    AuditColumn("topic", "STRING", True, "Topic the message was published to."),
    AuditColumn("table_name", "STRING", False, "Raw table it was meant for; null when that is not known."),
    AuditColumn("ordering_key", "STRING", False, "Its ordering key."),
    AuditColumn(
        "data",
        "BYTES",
        False,
        "Its body, exactly as published; null when it lies at data_uri, cut when it is over 7.9 MB without.",
    ),
    AuditColumn("attributes", "STRING", False, "Its attributes, as a JSON object."),
    AuditColumn("publish_ts", "TIMESTAMP", False, "When it was published (UTC)."),
    AuditColumn("dead_lettered_at", "TIMESTAMP", True, "When it was given up (UTC); the partition."),
    AuditColumn("load_id", "STRING", False, "Run of the ingester that gave it up."),
    AuditColumn("data_bytes", "INT64", False, "Length of its body as published."),
    AuditColumn("data_uri", "STRING", False, "Object that holds its body; null when `data` does."),
)
"""In the order of the physical table."""

DEAD_LETTERS: Final = AuditTable(
    "dead_letters",
    "Messages the ingester could not land, whole, with the reason. Append-only.",
    DEAD_LETTER_COLUMNS,
    partition_by="dead_lettered_at",
    clustering=("reason",),
)
DEAD_LETTER_TYPE: Final[RowType] = row_type("DeadLetter", DEAD_LETTER_COLUMNS)

DEAD_LETTER_REPLAYS: Final = AuditTable(
    "dead_letter_replays",
    "Dead letters that were sent again, or landed out of files: one row each, written once that was confirmed. "
    "Append-only.",
    (
        AuditColumn("event_id", "STRING", True, "Message id of the dead letter."),
        AuditColumn("topic", "STRING", True, "Topic it came from."),
        AuditColumn(
            "replay_event_id", "STRING", True, "Message id that it got this time; its own when it landed out of a file."
        ),
        AuditColumn("replay_id", "STRING", True, "The call of `ingest dead-letters replay`."),
        AuditColumn("replayed_at", "TIMESTAMP", True, "When it was sent again, or had landed (UTC); the partition."),
    ),
    partition_by="replayed_at",
    clustering=("event_id",),
)
REPLAY_TYPE: Final[RowType] = row_type("DeadLetterReplay", DEAD_LETTER_REPLAYS.columns)
