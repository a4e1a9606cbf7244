"""Brings the columns a client sent to the types of the table, and says which rows cannot be.

Sources: "Data type conversions" of the Storage Write API (protobuf and Arrow).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from bqemulator.api.routes.tabledata import _build_arrow_schema
from bqemulator.api.routes.tables import _field_to_rest
from bqemulator.storage.arrow_bridge import _coerce_to_arrow_value


@dataclass(frozen=True)
class BadRow:
    """A row that the table refuses.

    Attributes:
        index: its position in the request.
        message: what is wrong with it, in BigQuery's manner.
    """

    index: int
    message: str


class BadRowsError(Exception):
    """Some rows of a request are refused, and therefore the request.

    Attributes:
        rows: the bad ones.
    """

    def __init__(self, rows: Sequence[BadRow]) -> None:
        super().__init__(f"{len(rows)} bad rows")
        self.rows = tuple(rows)


def arrow_schema(entry: Any) -> pa.Schema:
    """Build the Arrow schema of a table.

    Args:
        entry: catalogue entry of the table.

    Returns:
        One field per column, with `bq_type` in its metadata and nullability from its mode.
    """
    return _build_arrow_schema([_field_to_rest(field) for field in entry.schema_.fields])


def to_table(columns: dict[str, pa.Array], row_count: int, schema: pa.Schema) -> pa.Table:
    """Convert what arrived to what the table holds.

    Args:
        columns: arrays by lower-case column name; a column that is missing becomes NULL.
        row_count: number of rows, for when no column arrived at all.
        schema: of the table.

    Returns:
        The rows, in the table's own column order.

    Raises:
        BadRowsError: when values do not fit, a required one is missing, or JSON is malformed.
    """
    bad: list[BadRow] = []
    arrays = []
    for field in schema:
        sent = columns.get(field.name.lower())
        array = pa.nulls(row_count, field.type) if sent is None else _converted(sent, field, bad)
        bad += _missing(array, field)
        bad += _malformed_json(array, field)
        arrays.append(array)
    if bad:
        raise BadRowsError(sorted(bad, key=lambda row: row.index))
    return pa.Table.from_arrays(arrays, schema=schema)


def _converted(sent: pa.Array, field: pa.Field, bad: list[BadRow]) -> pa.Array:
    if sent.type == field.type:
        return sent
    if _casts_directly(sent.type, field.type):
        try:
            return sent.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # some value does not fit: find out which, one by one
    values = []
    for index, value in enumerate(sent.to_pylist()):
        try:
            values.append(_one(value, field.type))
        except (ValueError, TypeError, ArithmeticError) as error:
            bad.append(BadRow(index, f"Field {field.name}: {value!r} is no {_type_name(field)} ({error})"))
            values.append(None)
    return pa.array(values, type=field.type)


def _casts_directly(sent: pa.DataType, wanted: pa.DataType) -> bool:
    # Text and bytes have formats of their own in BigQuery; numbers, dates and times are Arrow's business.
    textual = pa.types.is_string(sent) or pa.types.is_binary(sent)
    return not textual or pa.types.is_string(wanted) or pa.types.is_binary(wanted)


def _one(value: Any, wanted: pa.DataType) -> Any:
    coerced = _coerce_to_arrow_value(value, wanted)
    return pa.scalar(coerced, type=wanted).as_py()


def _missing(array: pa.Array, field: pa.Field) -> list[BadRow]:
    if field.nullable or array.null_count == 0:
        return []
    nulls = array.is_null().to_pylist()
    return [BadRow(i, f"Field {field.name}: missing required value") for i, null in enumerate(nulls) if null]


def _malformed_json(array: pa.Array, field: pa.Field) -> list[BadRow]:
    if _type_name(field) != "JSON":
        return []
    check: Callable[[str], Any] = json.loads
    bad = []
    for index, text in enumerate(array.to_pylist()):
        for each in text if isinstance(text, list) else [text]:
            try:
                check(each or "null")
            except ValueError as error:
                bad.append(BadRow(index, f"Field {field.name}: invalid JSON ({error})"))
    return bad


def _type_name(field: pa.Field) -> str:
    return str((field.metadata or {}).get(b"bq_type", b"").decode())
