"""What happens after the instant a model describes to rows that were there before, and the raw rows of it all."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from zones_rows import AS_OF, Row, StructureRows, Tables

from core.contracts import Contracts

LATER: Final = AS_OF + timedelta(hours=1)
TRUNCATED: Final = "member_cases"
"""The table that is emptied after the instant."""

_CHANGED: Final[Mapping[str, Row]] = {
    "members": {
        "status": "suspended",
        "home_store_id": 99,
        "first_name": "Canary-Restated",
        "referrer_member_id": 99,
        "birth_date": date(1950, 1, 1),
        "gender": "diverse",
        "country_code": "CH",
        "language_code": "rm",
        "joined_at": AS_OF - timedelta(days=9),
    },
    "member_profiles": {"income_band": "restated", "first_name": "Canary-Restated", "household_size": 9},
    "member_emails": {"email": "restated@example.com", "is_verified": False},
    "member_phones": {"phone_number": "+43 664 7654321", "is_reachable": False},
    "member_addresses": {"postal_code": "13055", "country_code": "AT", "valid_to": date(2025, 1, 1)},
    "member_consents": {"state": "withdrawn", "captured_at": AS_OF - timedelta(hours=1)},
    "member_preferences": {"is_enabled": False},
    "member_tiers": {"tier": "restated", "ends_on": AS_OF.date() - timedelta(days=1)},
    "member_points": {"points": Decimal("0.5")},
    "member_transactions": {"status": "voided"},
    "member_interactions": {"interaction_type": "restated"},
    "member_cases": {},
}
_FACTS: Final = ("member_points", "member_transactions", "member_interactions")


def restate(given: StructureRows) -> None:
    """Let something happen after `AS_OF` to most rows of most tables.

    Of four members one has its rows changed, one deleted, or given again where they were deleted, and one has them
    told once more by a full dump, as they were (but for facts: that says anew when they were heard of). The members
    themselves fare likewise, in other groups, and a table is emptied.

    Args:
        given: the rows; changed in place.
    """
    for table, changed in _CHANGED.items():
        for row in given.tables[table]:
            if table == TRUNCATED:
                # structure keeps what the row was last told by
                row |= {"is_deleted": True, "_op": "TRUNCATE"}
                continue
            match row["member_id"] // (4 if table == "members" else 1) % 4:
                case 0 if not row["is_deleted"]:
                    _touch(given, row, updated_at=LATER, **changed)
                case 1:
                    _touch(given, row, is_deleted=not row["is_deleted"])
                case 2 if not row["is_deleted"] and table not in _FACTS:
                    _touch(given, row, updated_at=row.get("updated_at") or AS_OF, _op="SNAPSHOT")
                case 3 if not row["is_deleted"] and table == "members":
                    _touch(given, row, updated_at=LATER, is_test=not row["is_test"])


def raw_rows(contracts: Contracts, *states: Tables) -> dict[str, list[Row]]:
    """Tell raw what led to states of structure: every row of each state, as the change it was told by.

    Args:
        contracts: the tables.
        *states: rows of structure by table, one after the other.

    Returns:
        Raw rows by table.
    """
    return {name: list(_changes(name, contracts, states)) for name in _CHANGED}


def _changes(table: str, contracts: Contracts, states: Iterable[Tables]) -> Iterable[Row]:
    contract = contracts[table]
    for state in states:
        for row in state[table]:
            image = {column.name: _json(row.get(column.name)) for column in contract.columns}
            payload = json.dumps(image)
            op = row["_op"]
            yield {
                "payload": None if op in ("DELETE", "TRUNCATE") else payload,
                "before": payload if op == "DELETE" else None,
                "_op": op,
                "_op_inferred": False,
                "_key": None
                if op == "TRUNCATE"
                else json.dumps({column.name: image[column.name] for column in contract.key}),
                "_source_system": "loyalty",
                "_source_table": table,
                "_source_ts": (LATER if op == "TRUNCATE" else row["_source_ts"]).isoformat(),
                "_source_position": "9" * 20 if op == "TRUNCATE" else row["_source_position"],
                "_event_id": row["_event_id"],
                "_ingestion_ts": row["_ingestion_ts"].isoformat(),
            }


def _touch(given: StructureRows, row: Row, _op: str | None = None, **columns: Any) -> None:
    given.touch(row, **columns)
    row |= {"_op": _op or row["_op"], "_source_ts": LATER, "_ingestion_ts": LATER}


def _json(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
    return value
