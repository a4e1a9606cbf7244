"""The watermark of a table over all processes that land it: the least of those that are at work.

A process that fell silent counts as long as what it held may not have come again to another, measured against the
newest report, so that nothing moves on while nobody works. One that ended with nothing in flight holds up nobody.
"""

from datetime import datetime
from typing import Final

import msgspec
from google.cloud import bigquery

from core.clients import bigquery_client
from core.identifiers import qualified
from core.settings import Settings
from ingest import bigquery_errors
from ingest.bigquery_errors import told
from ingest.watermarks.table import WATERMARKS

LIVE_S: Final = 600
"""How long a writer that fell silent still counts, in seconds: what it held comes again within the lease."""

_STATEMENT: Final = """
with

reports as (

    select *
    from {watermarks}
    where reported_at >= timestamp_sub(@now, interval 7 day)

),

newest as (

    select *
    from reports
    qualify row_number() over (partition by writer, table_name order by reported_at desc) = 1

),

writers as (

    select
        *,
        not is_final and reported_at >= timestamp_sub(
            max(reported_at) over (partition by table_name), interval @live_s second
        ) as counts,
        not is_final and reported_at >= timestamp_sub(@now, interval @live_s second) as is_live
    from newest

)

select
    table_name,
    coalesce(min(if(counts, watermark, null)), max(if(is_final, watermark, null))) as watermark,
    countif(is_live) as writers,
    max(reported_at) as reported_at,
    max(newest_event_ts) as newest_event_ts,
    max(if(is_live, oldest_unacked_age_ms, null)) as oldest_unacked_age_ms,
    max(last_position) as last_position,
    sum(if(is_live, in_flight, 0)) as in_flight,
    sum(rows_landed) as rows_landed,
    sum(rows_late) as rows_late
from writers
group by table_name
order by table_name
"""


class MergedWatermark(msgspec.Struct, frozen=True):
    """How far a table has come.

    Attributes:
        table: the raw table.
        watermark: every event before it has landed (UTC); None when nobody could tell yet.
        writers: processes at work.
        reported_at: the newest report (UTC).
        newest_event_ts: event time of the newest row landed (UTC).
        oldest_unacked_age_ms: age of the oldest message in flight, in milliseconds.
        last_position: greatest position landed.
        in_flight: rows received and neither landed nor dead-lettered.
        rows_landed: rows landed by the writers of the last seven days.
        rows_late: those of them that were older than their writer's watermark.
    """

    table: str
    watermark: datetime | None
    writers: int
    reported_at: datetime
    newest_event_ts: datetime | None
    oldest_unacked_age_ms: int | None
    last_position: str | None
    in_flight: int
    rows_landed: int
    rows_late: int


def merged_watermarks(settings: Settings, now: datetime) -> list[MergedWatermark]:
    """Return how far each table has come, over all writers.

    Args:
        settings: where BigQuery is.
        now: the present instant.

    Returns:
        One for each table that anybody reported on within seven days, by name.

    Raises:
        ConfigurationError: when the table is not there, or may not be read.
        UnavailableError: when BigQuery does not answer.
    """
    name = qualified(settings.project, settings.audit_dataset, WATERMARKS.name)
    parameters = [
        bigquery.ScalarQueryParameter("now", "TIMESTAMP", now),
        bigquery.ScalarQueryParameter("live_s", "INT64", LIVE_S),
    ]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    with told("reading the watermarks"), bigquery_client(settings) as client:
        rows = client.query_and_wait(
            _STATEMENT.format(watermarks=name), job_config=config, **bigquery_errors.patience()
        )
        return [MergedWatermark(row["table_name"], *(row[field] for field in _FIELDS)) for row in rows]


_FIELDS: Final = MergedWatermark.__struct_fields__[1:]
