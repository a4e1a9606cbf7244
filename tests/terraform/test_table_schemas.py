"""What Terraform makes in BigQuery is what the ingester appends."""

import json
import runpy
from pathlib import Path

import pytest

from core.raw_row import CLUSTER_COLUMN, PARTITION_COLUMN, RAW_COLUMNS
from core.settings import Settings
from ingest.audit_tables import AuditTable
from ingest.setup import AUDIT_TABLES
from reconcile.audit import TABLES as RECONCILIATION_TABLES
from reconcile.audit_tables import AuditTable as ReconciliationTable
from reconcile.repair.ledger import REPAIRS

TERRAFORM = Path(__file__).parents[2] / "terraform"
WAREHOUSE = TERRAFORM / "modules" / "warehouse"
CONTRACTS = TERRAFORM / "modules" / "contracts"
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


@pytest.mark.parametrize("table", AUDIT_TABLES, ids=lambda table: table.name)
def test_audit_tables_have_the_columns_the_ingester_appends(table: AuditTable) -> None:
    types = {
        "STRING": "STRING", "INT64": "INTEGER", "BOOL": "BOOLEAN", "BYTES": "BYTES", "TIMESTAMP": "TIMESTAMP"
    }  # fmt: skip
    expected = [
        (column.name, types[column.data_type], "REQUIRED" if column.required else "NULLABLE", column.description)
        for column in table.columns
    ]
    assert columns(f"{table.name}.json") == expected, HOW_TO_FIX


@pytest.mark.parametrize("table", [*RECONCILIATION_TABLES, REPAIRS], ids=lambda table: table.name)
def test_reconciliation_tables_have_the_columns_that_reconciliation_appends(table: ReconciliationTable) -> None:
    types = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
    expected = [(f.name, types.get(f.field_type, f.field_type), f.mode, f.description) for f in table.schema]
    assert columns(f"{table.name}.json") == expected, HOW_TO_FIX


def test_the_script_writes_the_files_as_they_are() -> None:
    schemas = runpy.run_path(str(TERRAFORM / "schemas.py"))["schemas"]()
    assert {path.name: path.read_text() for path in schemas} == {path.name: text for path, text in schemas.items()}
    assert {path.name for path in schemas} == {path.name for path in WAREHOUSE.glob("*.json")}


def test_tables_are_laid_out_as_the_programs_make_them_locally() -> None:
    """`ingest setup` makes the same tables on a laptop: partitioned, clustered and described alike."""
    text = (WAREHOUSE / "main.tf").read_text()
    settings = Settings.model_construct(project="millrace-local", audit_dataset="audit")
    assert f'field         = "{PARTITION_COLUMN}"' in text
    # what a contract leaves out is the same for both
    assert f'try(table.config.meta.cluster_by, ["{CLUSTER_COLUMN}"])' in (CONTRACTS / "main.tf").read_text()
    assert f'optional(list(string), ["{CLUSTER_COLUMN}"])' in (WAREHOUSE / "variables.tf").read_text()
    for declared in AUDIT_TABLES:
        block = text.partition(f"    {declared.name} = {{\n")[2].partition("    }\n")[0]
        table = declared.definition(settings)
        assert f'description  = "{table.description}"' in block
        assert f'partition_by = "{table.time_partitioning.field}"' in block
        assert f"clustering   = {json.dumps(table.clustering_fields)}" in block
    for kept in (*RECONCILIATION_TABLES, REPAIRS):
        block = text.partition(f"    {kept.name} = {{\n")[2].partition("    }\n")[0]
        assert f'description  = "{kept.description}"' in block
        assert f'partition_by = "{kept.partition_column}"' in block
