"""Where a correction belongs in the source's log: right after the last change that the snapshot can have seen.

A correction that stood at the end of the log would win over changes that are still on their way, and one at its
beginning would lose to what is wrong. At the place of the snapshot it wins over all that the snapshot knew, and loses
to all that came after. The forms of `_source_position` are those that the decoders of Debezium's connectors write.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.contracts import TableContract
from core.errors import ConfigurationError, UnavailableError
from core.identifiers import check_name, qualified
from reconcile.read.filters import googlesql_literal
from reconcile.repair.differences import Row
from reconcile.repair.literals import SQL_TYPES, typed_literal
from reconcile.repair.statements import Target, kind_of

_KEYS: Final = 2_000
"""Keys asked for by one statement: some hundred kilobytes of it."""


@dataclass(frozen=True, order=True)
class Place:
    """A place in a source's log, in the order in which structure merges changes.

    Attributes:
        position: `_source_position`.
        sequence: `_source_sequence`.
    """

    position: str
    sequence: int

    def after(self) -> "Place":
        """Return the place right behind this one: no change of the source stands between them."""
        return Place(self.position, self.sequence + 1)


@dataclass(frozen=True)
class Held:
    """What the warehouse held under a key when it was compared.

    Attributes:
        place: where its newest change stands; None when the row does not say.
        changed_at: when that was made at the source (UTC); None when the row does not say.
    """

    place: Place | None
    changed_at: datetime | None


def _postgresql(parts: re.Match[str]) -> dict[str, Any]:
    return {"connector": "postgresql", "lsn": int(parts[1])}


def _binary_log(parts: re.Match[str]) -> dict[str, Any]:
    return {"connector": "mysql", "file": f"binlog.{parts[1]}", "pos": int(parts[2]), "row": int(parts[3])}


def _sql_server(parts: re.Match[str]) -> dict[str, Any]:
    return {
        "connector": "sqlserver",
        "commit_lsn": parts[1],
        "change_lsn": parts[2],
        "event_serial_no": int(parts[3]),
    }


_SERVER_LSN: Final = r"[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4}"
_CONNECTORS: Final[Mapping[re.Pattern[str], Callable[[re.Match[str]], dict[str, Any]]]] = {
    re.compile(r"([0-9]{20})"): _postgresql,
    re.compile(r"([0-9]{10}):([0-9]{20}):([0-9]{10})"): _binary_log,
    re.compile(rf"({_SERVER_LSN})/({_SERVER_LSN})/([0-9]{{10}})"): _sql_server,
}
"""From a position to the fields of Debezium's `source` block that it was made of."""


def source_fields(position: str) -> dict[str, Any]:
    """Return the fields of a `source` block that say a position.

    Args:
        position: `_source_position`.

    Returns:
        The connector, and where in its log.

    Raises:
        ConfigurationError: when the position is of no connector that corrections can be written for.
    """
    for pattern, fields in _CONNECTORS.items():
        if parts := pattern.fullmatch(position):
            return fields(parts)
    raise ConfigurationError(
        f"{position!r} is no position of Debezium's connectors for PostgreSQL, MySQL, MariaDB or SQL Server, and "
        "changes of others cannot be republished; mend the table without --republish"
    )


def lowest(position: str) -> Place:
    """Return the place before all others of the same log.

    Args:
        position: any position of it.
    """
    return Place(re.sub(r"[0-9a-f]", "0", position), 0)


def snapshot_place(
    client: bigquery.Client, contract: TableContract, *, taken_at: datetime, landed_by: datetime
) -> Place:
    """Return the place of the last change that a snapshot can have seen, as far as it had landed.

    Corrections that were published since are not among what had landed: asked again, this is the same place.

    Args:
        client: the warehouse.
        contract: the table.
        taken_at: when the snapshot was taken (UTC).
        landed_by: when the warehouse was compared with it (UTC).

    Raises:
        ConfigurationError: when nothing of the table has landed.
        UnavailableError: when BigQuery does not answer.
    """
    statement = place_statement(client.project, contract)
    values = {"taken_at": taken_at, "landed_by": landed_by}
    parameters = [bigquery.ScalarQueryParameter(name, "TIMESTAMP", value) for name, value in values.items()]
    [row] = asked(client, statement, bigquery.QueryJobConfig(query_parameters=parameters))
    if row["newest"] is None:
        raise ConfigurationError(
            f"{contract.dataset}.{contract.name}: nothing had landed, so that corrections have no place in the "
            "source's log; load the table by a snapshot of its connector instead"
        )
    if row["place"] is None:
        return lowest(row["newest"])
    position, _, sequence = row["place"].rpartition(" ")
    return Place(position, int(sequence))


def place_statement(project: str, contract: TableContract) -> str:
    """Return the query of the last place that had landed at `@landed_by` of changes made by `@taken_at`, and of any.

    Args:
        project: the warehouse's project.
        contract: the table.
    """
    return "\n".join(
        (
            "select",
            "    max(if(",
            "        _source_ts <= @taken_at,",
            "        concat(_source_position, format(' %020d', ifnull(_source_sequence, 0))),",
            "        null",
            "    )) as place,",
            "    max(_source_position) as newest",
            f"from {qualified(project, contract.dataset, contract.name)}",
            "where _ingestion_ts <= @landed_by and _source_position is not null",
        )
    )


def held_rows(
    client: bigquery.Client, target: Target, rows: Sequence[Row], *, pinned_at: datetime | None
) -> dict[int, Held]:
    """Return what the warehouse held under each key when it was compared, deleted rows included.

    Args:
        client: the warehouse.
        target: the table.
        rows: keys that differ.
        pinned_at: the instant that they were compared as of (UTC): BigQuery tells for seven days what a table was.
            None where the service cannot pin one, for what it holds now.

    Returns:
        By the number of the row; nothing for a key that was not there.

    Raises:
        UnavailableError: when BigQuery does not answer, or no longer knows.
    """
    found: dict[int, Held] = {}
    for first in range(0, len(rows), _KEYS):
        part = rows[first : first + _KEYS]
        for row in asked(client, held_statement(target, first, part, pinned_at)):
            position, sequence = row["_source_position"], row["_source_sequence"]
            place = None if position is None else Place(position, sequence or 0)
            found[row["number"]] = Held(place, row["_source_ts"])
    return found


def held_statement(target: Target, first: int, rows: Sequence[Row], pinned_at: datetime | None) -> str:
    """Return the query of where the newest change of each key stands.

    Args:
        target: the table.
        first: number of the first row.
        rows: keys that differ.
        pinned_at: the instant to ask as of (UTC); None for now.
    """
    names = [check_name(column.name) for column in target.key]
    kinds = [kind_of(column) for column in target.key]
    fields = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in zip(names, kinds, strict=True))
    keys = ",\n    ".join(_struct(first + place, row, names, kinds) for place, row in enumerate(rows))
    as_of = f" for system_time as of {googlesql_literal(pinned_at)}" if pinned_at is not None else ""
    return "\n".join(
        (
            "with held as (",
            f"    select {', '.join(names)}, _source_position, _source_sequence, _source_ts",
            f"    from {qualified(target.project, target.dataset, target.table)}{as_of}",
            ")",
            "select wanted.number, held._source_position, held._source_sequence, held._source_ts",
            f"from unnest(array<struct<number int64, {fields}>>[\n    {keys}\n]) as wanted",
            f"inner join held on {' and '.join(f'held.{name} = wanted.{name}' for name in names)}",
        )
    )


def _struct(number: int, row: Row, names: Sequence[str], kinds: Sequence[Any]) -> str:
    key = [typed_literal(row.known[name], kind) for name, kind in zip(names, kinds, strict=True)]
    return f"({', '.join([str(number), *key])})"


def asked(
    client: bigquery.Client, statement: str, config: bigquery.QueryJobConfig | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a query.

    Args:
        client: the warehouse.
        statement: the query.
        config: its parameters.

    Raises:
        UnavailableError: when BigQuery refuses it, or does not answer.
    """
    try:
        yield from client.query_and_wait(statement, job_config=config)
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnavailableError(f"BigQuery does not say where the rows stand in the source's log: {error}") from error
