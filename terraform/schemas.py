"""Write the table schemas that Terraform reads from the columns that the ingester appends.

Run `python terraform/schemas.py` after a change to either; a test fails when they differ.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from core.raw_row import RAW_COLUMNS
from ingest.dead_letters import DEAD_LETTER_COLUMNS

_FOLDER: Final = Path(__file__).parent / "modules" / "warehouse"

# BigQuery answers with the older names of these types; with the newer ones every plan would show a change.
_API_TYPES: Final = {"INT64": "INTEGER", "BOOL": "BOOLEAN", "FLOAT64": "FLOAT"}


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
        _FOLDER / "dead_letters.json": _schema(DEAD_LETTER_COLUMNS),
    }


def _schema(columns: Iterable[_Column]) -> str:
    fields = [
        {
            "name": column.name,
            "type": _API_TYPES.get(column.data_type, column.data_type),
            "mode": "REQUIRED" if column.required else "NULLABLE",
            "description": column.description,
        }
        for column in columns
    ]
    return json.dumps(fields, indent=2) + "\n"


if __name__ == "__main__":
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")
