"""The SQL keeps to the style as dbt itself renders it: `make lint` renders it with stand-ins for macros."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from structure_warehouse import ROOT, Warehouse

from ingest.setup import raw_table

PROJECT: Final = ("dbt_project", "macros", "profiles", "dbt_project.yml", "selectors.yml", ".sqlfluff")
PLANTED: Final = "dbt_project/models/analytics/badly_written.sql"
BADLY_WRITTEN: Final = """{{ config(contract={'enforced': false}) }}

SELECT  member_id AS Id from {{ ref('dim_members') }}
"""
UNPARSABLE: Final = "dbt_project/models/analytics/half_written.sql"
HALF_WRITTEN: Final = """{{ config(contract={'enforced': false}) }}

select member_id
from {{ ref('dim_members') }}
{{ 'group by' if target.type == 'bigquery' }}
"""

GROWING: Final = "dbt_project/models/analytics/badly_grown.sql"
BADLY_GROWN: Final = """{{ config(materialized='incremental', unique_key='member_id', contract={'enforced': false}) }}

select member_id
from {{ ref('dim_members') }}
{%- if is_incremental() %}
WHERE member_id > 0
{%- endif %}
"""

# The SQL of the models of one table each comes from the same macros, over other columns. These are read as they send it
# first, without tables; all others of them as increments; and one, whose key has several columns, both ways.
STRUCTURE: Final = "dbt_project/models/structure/member"
FIRST: Final = tuple(f"{STRUCTURE}/str_{table}.sql" for table in ("members", "member_cases", "member_transactions"))
BOTH: Final = f"{STRUCTURE}/str_member_preferences.sql"

BUILT: Final = "millrace-style"
DATASETS: Final = ("raw", "structure", "analytics")

# Rules of what is written, not of what macros make of it: `make lint` sees to them, and they take half the time.
OF_WHAT_IS_WRITTEN: Final = "layout.spacing, layout.long_lines, layout.keyword_newline"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with faults planted.

    Three queries are a union over all tables, each part by the same macros; over two of the tables they say
    as much, and take a tenth of the minutes.
    """
    folder = tmp_path_factory.mktemp("style")
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    for path, text in ((PLANTED, BADLY_WRITTEN), (UNPARSABLE, HALF_WRITTEN), (GROWING, BADLY_GROWN)):
        (folder / path).write_text(text)
    _replace(folder / "macros/cdc/contract.sql", r"return\(\[.*?\]\)", "return(['member_preferences', 'members'])")
    _replace(folder / "dbt_project.yml", r"prune_from_rows: \d+", "prune_from_rows: 0")
    _replace(folder / ".sqlfluff", r"^exclude_rules = ", f"exclude_rules = {OF_WHAT_IS_WRITTEN}, ")
    return folder


@pytest.fixture
def standing(structure_warehouse: Warehouse) -> Iterator[None]:
    """The tables that increments go into, and raw rows that name a key."""
    client, settings = structure_warehouse.client, structure_warehouse.settings.model_copy(update={"project": BUILT})
    for dataset in DATASETS:
        client.create_dataset(f"{BUILT}.{dataset}")
    for contract in structure_warehouse.contracts.values():
        client.create_table(raw_table(settings, contract))
        key = json.dumps({column.name: 1 for column in contract.key})
        client.query_and_wait(
            f"insert into `{BUILT}`.raw.{contract.name} (_op, _key, _ingestion_ts) "
            f"values ('DELETE', '{key}', current_timestamp())"
        )
    for node in structure_warehouse.manifest.nodes.values():
        if node.config.materialized == "incremental":
            columns = ", ".join(f"{column.name} {column.data_type}" for column in node.columns.values())
            client.query_and_wait(f"create table `{BUILT}`.{node.schema}.{node.alias} ({columns})")
    client.query_and_wait(f"create table `{BUILT}`.analytics.badly_grown (member_id int64)")
    yield
    for dataset in DATASETS:
        client.delete_dataset(f"{BUILT}.{dataset}", delete_contents=True)


def _replace(file: Path, pattern: str, new: str) -> None:
    text, found = re.subn(pattern, new, file.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert found == 1
    file.write_text(text)


def test_all_that_dbt_renders_keeps_to_the_style(structure_warehouse: Warehouse, copied: Path) -> None:
    """As tables are made for the first time, since nothing is built in that project of BigQuery."""
    later = _of_one_table(structure_warehouse) - {*FIRST, BOTH}
    (copied / ".sqlfluffignore").write_text("\n".join(later))
    codes = _linted(structure_warehouse, copied, "dbt_project")
    written = {str(path.relative_to(copied)) for path in (copied / "dbt_project").rglob("*.sql")}
    assert set(codes) == written - later
    assert len(later) < len(written)
    assert {path: found for path, found in codes.items() if found} == {
        PLANTED: {"CP01", "CP02"},
        UNPARSABLE: {"PRS"},
    }


def test_every_increment_keeps_to_the_style(structure_warehouse: Warehouse, copied: Path, standing: None) -> None:
    (copied / ".sqlfluffignore").unlink(missing_ok=True)
    grown = {GROWING, *_grown(structure_warehouse)} - {*FIRST}
    assert _of_one_table(structure_warehouse) <= {*grown, *FIRST}
    codes = _linted(structure_warehouse, copied, *sorted(grown))
    assert set(codes) == grown
    assert {path: found for path, found in codes.items() if found} == {GROWING: {"CP01"}}


def _grown(warehouse: Warehouse) -> set[str]:
    """Return the files of models that send another query once their table stands."""
    nodes = warehouse.manifest.nodes.values()
    return {node.original_file_path for node in nodes if node.config.materialized == "incremental"}


def _of_one_table(warehouse: Warehouse) -> set[str]:
    """Return the files of the models that make structure's tables of the contracts."""
    return {warehouse.manifest.nodes[f"model.millrace.str_{table}"].original_file_path for table in warehouse.contracts}


def _linted(warehouse: Warehouse, folder: Path, *paths: str) -> dict[str, set[str]]:
    """Lint a project in a process of its own: sqlfluff sets dbt up for all of its process.

    It asks a project of BigQuery of its own, so that what is rendered is the same whatever other tests have built.

    Args:
        warehouse: where the project of BigQuery is.
        folder: the dbt project.
        *paths: what to lint of it.

    Returns:
        Codes of violations by file.
    """
    environment = os.environ | {
        "MILLRACE_PROJECT": BUILT,
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    sqlfluff = Path(sys.executable).with_name("sqlfluff")
    command = [str(sqlfluff), "lint", *paths, "--templater", "dbt", "--format", "json", "--disable-progress-bar"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    files: list[dict[str, Any]] = json.loads(done.stdout)
    return {file["filepath"]: {violation["code"] for violation in file["violations"]} for file in files}
