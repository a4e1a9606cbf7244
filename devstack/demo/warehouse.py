"""What the warehouse holds, asked of BigQuery itself."""

from dataclasses import dataclass

from google.cloud import bigquery

from core.contracts import Contracts
from core.identifiers import qualified
from core.settings import Settings

ZONES = ("raw", "structure", "snapshots", "refined", "analytics")


@dataclass(frozen=True)
class RawCounts:
    """What has landed.

    Attributes:
        rows: rows in all raw tables.
        distinct: distinct event ids among them, of rows that a message brought.
        of_sets: distinct rows that a set from the API brought; their ids end with a colon and a number.
        dead_letters: distinct dead-lettered event ids by reason.
    """

    rows: int
    distinct: int
    of_sets: int
    dead_letters: dict[str, int]


def raw_counts(client: bigquery.Client, settings: Settings, contracts: Contracts) -> RawCounts:
    """Count the landed rows and the dead letters.

    Args:
        client: where to ask.
        settings: names of the project and the audit dataset.
        contracts: the raw tables.

    Returns:
        The counts.
    """
    events = " union all ".join(
        f"select _event_id from {qualified(settings.project, contract.dataset, contract.name)}"  # noqa: S608 - checked
        for contract in contracts.values()
    )
    (total,) = client.query_and_wait(
        "select count(*) as landed, "  # noqa: S608 - checked
        "count(distinct if(strpos(_event_id, ':') = 0, _event_id, null)) as distinct_events, "
        "count(distinct if(strpos(_event_id, ':') > 0, _event_id, null)) as of_sets "
        f"from ({events})"
    )
    letters = client.query_and_wait(
        "select reason, count(distinct event_id) as events "  # noqa: S608 - checked
        f"from {qualified(settings.project, settings.audit_dataset, 'dead_letters')} group by reason order by reason"
    )
    return RawCounts(
        total["landed"], total["distinct_events"], total["of_sets"], {row["reason"]: row["events"] for row in letters}
    )


def zone_rows(client: bigquery.Client, settings: Settings) -> dict[str, int]:
    """Count the rows of every table of every zone.

    Args:
        client: where to ask.
        settings: name of the project.

    Returns:
        Rows by `dataset.table`, zone after zone.
    """
    rows: dict[str, int] = {}
    for zone in ZONES:
        for table in sorted(client.list_tables(f"{settings.project}.{zone}"), key=lambda item: item.table_id):
            name = qualified(settings.project, zone, table.table_id)
            (found,) = client.query_and_wait(f"select count(*) as counted from {name}")  # noqa: S608 - checked
            rows[f"{zone}.{table.table_id}"] = found["counted"]
    return rows
