"""Rows as the member API gives them, and as the JSON snapshots hold them.

DATE as `YYYY-MM-DD`, TIMESTAMP as ISO 8601 in UTC with six digits, NUMERIC as text, BYTES as base64, JSON as an
object, arrays as arrays.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from core.contracts import Contracts, DataType, TableContract
from devstack.member_api.store import StoredRow, canonical_key, write_store
from devstack.world.changes import Change, Row
from devstack.world.notifications import iso_micros

_json: Final = msgspec.json.Encoder()


def api_json(contract: TableContract, row: Row) -> bytes:
    """Return a row as one line of JSON.

    Args:
        contract: the row's table.
        row: a row with every column of the contract.

    Returns:
        JSON in UTF-8, without a line break.
    """
    return _json.encode({column.name: _write(column.data_type, row[column.name]) for column in contract.columns})


def store_changes(path: Path, contracts: Contracts, changes: Iterable[Change]) -> None:
    """Bring the API's store up to date, in one step.

    Args:
        path: the store; it is made when it is not there.
        contracts: the tables.
        changes: all changes the API must know, in the order of the log, as `World.notified_changes` has them.
    """
    latest: dict[tuple[str, tuple[int | str, ...]], StoredRow] = {}
    for change in changes:
        changed_at = iso_micros(change.event_time)
        if change.op == "t":
            emptied = {place: row for place, row in latest.items() if place[0] == change.table and row.data is not None}
            for place, row in emptied.items():
                latest[place] = StoredRow(row.table, row.key, change.position, None, changed_at)
            continue
        contract = contracts[change.table]
        key = canonical_key(contract, change.key)
        data = None if change.after is None else api_json(contract, change.after).decode()
        latest[change.table, change.key] = StoredRow(change.table, key, change.position, data, changed_at)
    write_store(path, latest.values())


def _write(data_type: DataType, value: Any) -> Any:
    writer = _WRITERS.get(data_type)
    return value if value is None or writer is None else writer(value)


_WRITERS: Final[Mapping[DataType, Callable[[Any], Any]]] = {
    "numeric": lambda value: format(value, "f"),
    "bignumeric": lambda value: format(value, "f"),
    "bytes": lambda value: base64.b64encode(value).decode("ascii"),
    "date": lambda value: value.isoformat(),
    "timestamp": iso_micros,
    "json": lambda value: msgspec.Raw(value.encode()),
}
