"""GoogleSQL to look further: the row as it stands, and the changes that were landed for it."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from core.contracts import DataType
from core.identifiers import qualified
from reconcile.plans import ComparisonPlan
from reconcile.read.filters import googlesql_literal
from reconcile.read.warehouse import WarehouseTable
from reconcile.rules import EXACT


def row_sql(plan: ComparisonPlan, key: tuple[Any, ...]) -> str | None:
    """Return the query of a key's rows in the warehouse, deleted ones included.

    Args:
        plan: the comparison.
        key: the key's values.

    Returns:
        GoogleSQL; None when the warehouse is not BigQuery, the key is personal, or was normalised or mapped and so
        cannot be looked up as it stands.
    """
    table = plan.warehouse.table
    if not isinstance(table, WarehouseTable):
        return None
    if any(column.masked is not None or column.rule != EXACT or column.origin for column in plan.key):
        return None
    tests = [
        f"{column.name} is null" if value is None else f"{column.name} = {_literal(value, column.data_type)}"
        for column, value in zip(plan.key, key, strict=True)
    ]
    source = qualified(table.project, table.dataset, table.table)
    return "\n".join(("select *", f"from {source}", f"where {' and '.join(tests)}"))


def history_sql(plan: ComparisonPlan, key: tuple[Any, ...]) -> str | None:
    """Return the query of the changes landed for a key, in the source's order.

    Args:
        plan: the comparison.
        key: the key's values.

    Returns:
        GoogleSQL over the raw table; None without a contract, or when the key cannot be told (see `row_sql`).
    """
    table = plan.warehouse.table
    if plan.contract is None or None in key or row_sql(plan, key) is None or not isinstance(table, WarehouseTable):
        return None
    names = [column.name for column in plan.key]
    if names != [column.name for column in plan.contract.key]:
        return None
    scalars = {column.name: _scalar(value, column.data_type) for column, value in zip(plan.key, key, strict=True)}
    # The canonical key of the raw row: compact JSON, keys in the contract's order.
    canonical = json.dumps(scalars, separators=(",", ":"), ensure_ascii=False)
    raw = qualified(table.project, plan.contract.dataset, plan.contract.name)
    return "\n".join(
        (
            "select _op, _source_ts, _source_position, _ingestion_ts, payload",
            f"from {raw}",
            f"where _key = {googlesql_literal(canonical)}",
            "order by _source_position, _source_sequence",
        )
    )


def _literal(value: Any, data_type: DataType) -> str:
    if isinstance(value, bytes):
        return f"from_hex('{value.hex()}')"
    if isinstance(value, float):
        return f"cast('{value!r}' as float64)"
    if isinstance(value, time):
        return f"time '{value.isoformat()}'"
    if isinstance(value, datetime) and data_type == "datetime":
        return f"datetime '{value.isoformat(sep=' ')}'"
    if data_type == "bignumeric":
        return f"bignumeric '{value}'"
    return googlesql_literal(value)


def _scalar(value: Any, data_type: DataType) -> str | int | bool:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime) and data_type == "timestamp":
        return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
