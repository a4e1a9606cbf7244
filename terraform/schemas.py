"""Write the table schemas that Terraform reads from the columns that the programs append.

Run `python terraform/schemas.py` after a change to either; a test fails when they differ.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from core.raw_row import RAW_COLUMNS
from ingest.setup import AUDIT_TABLES
from reconcile.audit import TABLES
from reconcile.repair.ledger import REPAIRS

_FOLDER: Final = Path(__file__).parent / "modules" / "warehouse"

# BigQuery answers with the older names of these types; with the newer ones every plan would show a change.
_API_TYPES: Final = {"INT64": "INTEGER", "BOOL": "BOOLEAN", "FLOAT64": "FLOAT"}

_PROPERTIES: Final = ("name", "type", "mode", "description")


class _Column(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def data_type(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def description(self) -> str: ...


def schemas() -> Mapping[Path, str]:
    """Return what each schema file must hold."""
    return {
        _FOLDER / "raw_row.json": _schema(RAW_COLUMNS),
        **{_FOLDER / f"{table.name}.json": _schema(table.columns) for table in AUDIT_TABLES},
        **{
            _FOLDER / f"{table.name}.json": _text(field.to_api_repr() for field in table.schema)
            for table in (*TABLES, REPAIRS)
        },
    }


def _schema(columns: Iterable[_Column]) -> str:
    return _text(
        {
            "name": column.name,
            "type": column.data_type,
            "mode": "REQUIRED" if column.required else "NULLABLE",
            "description": column.description,
        }
        for column in columns
    )


def _text(fields: Iterable[dict[str, Any]]) -> str:
    renamed = [field | {"type": _API_TYPES.get(field["type"], field["type"])} for field in fields]
    return json.dumps([{name: field[name] for name in _PROPERTIES} for field in renamed], indent=2) + "\n"


if __name__ == "__main__":
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")
