"""What Terraform makes in BigQuery is what the ingester appends."""

import json
import runpy
from pathlib import Path

from core.raw_row import CLUSTER_COLUMN, PARTITION_COLUMN, RAW_COLUMNS
from ingest.dead_letters import DEAD_LETTER_COLUMNS

TERRAFORM = Path(__file__).parents[2] / "terraform"
WAREHOUSE = TERRAFORM / "modules" / "warehouse"
HOW_TO_FIX = "run `python terraform/schemas.py`"


def columns(name: str) -> list[tuple[str, str, str, str]]:
    fields = json.loads((WAREHOUSE / name).read_text())
    return [(field["name"], field["type"], field["mode"], field["description"]) for field in fields]


def test_raw_tables_have_the_columns_of_the_raw_row() -> None:
    types = {"STRING": "STRING", "BOOL": "BOOLEAN", "INT64": "INTEGER", "TIMESTAMP": "TIMESTAMP"}
    expected = [
        (column.name, types[column.data_type], "REQUIRED" if column.required else "NULLABLE", column.description)
        for column in RAW_COLUMNS
    ]
    assert columns("raw_row.json") == expected, HOW_TO_FIX


def test_dead_letters_have_the_columns_the_ingester_appends() -> None:
    types = {"STRING": "STRING", "INT64": "INTEGER", "BYTES": "BYTES", "TIMESTAMP": "TIMESTAMP"}
    expected = [
        (column.name, types[column.data_type], "REQUIRED" if column.required else "NULLABLE", column.description)
        for column in DEAD_LETTER_COLUMNS
    ]
    assert columns("dead_letters.json") == expected, HOW_TO_FIX


def test_the_script_writes_the_files_as_they_are() -> None:
    schemas = runpy.run_path(str(TERRAFORM / "schemas.py"))["schemas"]()
    assert {path.name: path.read_text() for path in schemas} == {path.name: text for path, text in schemas.items()}
    assert {path.name for path in schemas} == {path.name for path in WAREHOUSE.glob("*.json")}


def test_raw_tables_are_laid_out_as_the_raw_row_says() -> None:
    text = (WAREHOUSE / "main.tf").read_text()
    assert f'field         = "{PARTITION_COLUMN}"' in text
    assert f'= ["{CLUSTER_COLUMN}"]' in text
