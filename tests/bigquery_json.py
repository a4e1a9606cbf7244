"""Tables of the local BigQuery, and rows as `insert_rows_json` takes them."""

import base64
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from google.cloud import bigquery


def schema_field(name: str, data_type: str) -> bigquery.SchemaField:
    """Return a column of a type as contracts write it, such as `int64` or `array<string>`.

    Args:
        name: of the column.
        data_type: its type.
    """
    if data_type.startswith("array<"):
        return bigquery.SchemaField(name, data_type.removeprefix("array<").removesuffix(">").upper(), mode="REPEATED")
    return bigquery.SchemaField(name, data_type.upper())


def json_value(value: Any) -> Any:
    """Return a value as JSON has it.

    Args:
        value: of a column.
    """
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case tuple():
            return list(value)
    return value
