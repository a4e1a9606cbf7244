"""The audit trail, read back: the last runs of each comparison, and how they went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.errors import UnavailableError
from core.identifiers import qualified
from core.settings import Settings
from reconcile.audit import TABLE

_COLUMNS: Final = (
    "started_at",
    "run_id",
    "comparison",
    "verdict",
    "outcome",
    "snapshot_id",
    "warehouse_rows",
    "snapshot_rows",
    "missing",
    "extra",
    "changed",
    "duplicated_keys",
    "in_flight",
    "seconds",
    "reason",
)


@dataclass(frozen=True)
class PastComparison:
    """One comparison of one earlier run; see `reconcile.audit.SCHEMA` for what the fields are."""

    started_at: datetime
    run_id: str
    comparison: str
    verdict: str
    outcome: str | None
    snapshot_id: str | None
    warehouse_rows: int | None
    snapshot_rows: int | None
    missing: int | None
    extra: int | None
    changed: int | None
    duplicated_keys: int | None
    in_flight: int | None
    seconds: float | None
    reason: str | None


def past(
    client: bigquery.Client, settings: Settings, *, tables: Sequence[str] = (), days: int = 30, most: int = 50
) -> tuple[PastComparison, ...]:
    """Return earlier comparisons, the newest first.

    Args:
        client: where to ask.
        settings: the audit dataset.
        tables: names of comparisons; all when empty.
        days: how far to look back: partitions before that are not read.
        most: most comparisons to return.

    Returns:
        What the audit trail keeps of them.

    Raises:
        UnavailableError: when the trail cannot be read, with what to do about it.
    """
    name = qualified(settings.project, settings.audit_dataset, TABLE)
    chosen = "and comparison in unnest(@tables)" if tables else ""
    statement = "\n".join(
        (
            f"select {', '.join(_COLUMNS)}",
            f"from {name}",
            "where started_at >= timestamp_sub(current_timestamp(), interval @days day)",
            chosen,
            "order by started_at desc, comparison",
            "limit @most",
        )
    )
    parameters: list[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter] = [
        bigquery.ScalarQueryParameter("days", "INT64", days),
        bigquery.ScalarQueryParameter("most", "INT64", most),
    ]
    if tables:
        parameters.append(bigquery.ArrayQueryParameter("tables", "STRING", list(tables)))
    rows = _rows(client, name, statement, parameters)
    return tuple(PastComparison(**{column: row[column] for column in _COLUMNS}) for row in rows)


def unknown(client: bigquery.Client, settings: Settings, tables: Sequence[str]) -> tuple[str, ...]:
    """Return those names that no run in the whole audit trail has compared.

    Args:
        client: where to ask.
        settings: the audit dataset.
        tables: names of comparisons.

    Raises:
        UnavailableError: when the trail cannot be read, with what to do about it.
    """
    name = qualified(settings.project, settings.audit_dataset, TABLE)
    # The trail is partitioned by this column; readers of all of it say so.
    statement = (
        f"select distinct comparison from {name} where started_at > timestamp '1970-01-01' "  # noqa: S608 - checked names; values are bound
        "and comparison in unnest(@tables)"
    )
    parameter = bigquery.ArrayQueryParameter("tables", "STRING", list(tables))
    known = {row["comparison"] for row in _rows(client, name, statement, [parameter])}
    return tuple(sorted(set(tables) - known))


def _rows(
    client: bigquery.Client,
    name: str,
    statement: str,
    parameters: Sequence[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter],
) -> tuple[bigquery.Row, ...]:
    try:
        return tuple(client.query(statement, bigquery.QueryJobConfig(query_parameters=list(parameters))).result())
    except NotFound as error:
        raise UnavailableError(f"{name}: is not there yet; `reconcile run` makes it, or Terraform") from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"{name}: cannot be read: {error}") from error
