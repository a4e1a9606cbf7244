"""Reading schema drift back: what of it still stands against the contracts as they are now."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from google.cloud import bigquery

from core.contracts import Contracts
from core.identifiers import qualified
from core.settings import Settings
from ingest.bigquery_errors import told
from ingest.drift.changes import Kind
from ingest.drift.table import SCHEMA_DRIFT


class Finding(msgspec.Struct, frozen=True):
    """A field that does not fit its contract, over all runs.

    Attributes:
        table: raw table.
        change: what happened to the field.
        field: its name.
        expected_type: the contract's type; None for a new field.
        seen_types: the types its values looked like, sorted.
        first_seen: when a run first saw it (UTC).
        last_seen: when a run last saw it for the first time (UTC).
        example_event_id: a message that held it.
        sample: a value, as far as it may be kept.
    """

    table: str
    change: Kind
    field: str
    expected_type: str | None
    seen_types: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    example_event_id: str
    sample: str | None


def findings(
    client: bigquery.Client, settings: Settings, contracts: Contracts, tables: Sequence[str] = ()
) -> list[Finding]:
    """Return the drift that the contracts have not taken up yet.

    Args:
        client: where to read.
        settings: the project and the audit dataset.
        contracts: every table.
        tables: only these tables; empty for all.

    Returns:
        The findings, by table, kind of change and field.

    Raises:
        ConfigurationError: when the audit table is not there, or may not be read.
        UnavailableError: when BigQuery does not answer.
    """
    query = f"""
        select
            table_name, change, field, expected_type, seen_type,
            min(first_seen) as first_seen,
            max(first_seen) as last_seen,
            any_value(event_id) as event_id,
            any_value(sample) as sample
        from {qualified(settings.project, settings.audit_dataset, SCHEMA_DRIFT.name)}
        where table_name in unnest(@tables)
        group by table_name, change, field, expected_type, seen_type
        order by table_name, change, field, first_seen
    """  # noqa: S608 - the table's name is checked
    names = bigquery.ArrayQueryParameter("tables", "STRING", [*(tables or contracts)])
    with told("reading schema drift"):
        job = client.query(query, job_config=bigquery.QueryJobConfig(query_parameters=[names]))
        rows = [
            Finding(
                row["table_name"],
                row["change"],
                row["field"],
                row["expected_type"],
                (row["seen_type"],) if row["seen_type"] else (),
                row["first_seen"],
                row["last_seen"],
                row["event_id"],
                row["sample"],
            )
            for row in job.result()
        ]
    return standing(rows, contracts)


def standing(seen: Iterable[Finding], contracts: Contracts) -> list[Finding]:
    """Join what was seen of each field, and leave out what the contracts have taken up since.

    Args:
        seen: findings, several of a field when its values looked like several types.
        contracts: every table as it is declared now.

    Returns:
        One finding for each field and kind of change, in the order given.
    """
    joined: dict[tuple[str, str, str], Finding] = {}
    for one in seen:
        if not _stands(one, contracts):
            continue
        key = (one.table, one.change, one.field)
        former = joined.get(key)
        joined[key] = one if former is None else _join(former, one)
    return [*joined.values()]


def _stands(one: Finding, contracts: Contracts) -> bool:
    contract = contracts.get(one.table)
    if contract is None:
        return False
    declared = {column.name: column.data_type for column in contract.columns}
    if one.change == "new_field":
        return one.field not in declared
    return declared.get(one.field) == one.expected_type


def _join(former: Finding, one: Finding) -> Finding:
    return msgspec.structs.replace(
        former,
        seen_types=tuple(sorted({*former.seen_types, *one.seen_types})),
        first_seen=min(former.first_seen, one.first_seen),
        last_seen=max(former.last_seen, one.last_seen),
        sample=one.sample if former.sample in (None, "null") else former.sample,
    )
