"""The SQL keeps to the style as dbt itself renders it: `make lint` renders it with stand-ins for macros."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from structure_warehouse import ROOT, Warehouse

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

# The SQL of these comes from the same macros as that of the others, over other columns; `make lint` reads them, too.
ALIKE: Final = tuple(
    f"dbt_project/models/structure/member/str_member_{table}.sql"
    for table in (
        "addresses",
        "consents",
        "emails",
        "identities",
        "interactions",
        "phones",
        "points",
        "profiles",
        "tiers",
    )
)

# Rules of what is written, not of what macros make of it: `make lint` sees to them, and they take half the time.
OF_WHAT_IS_WRITTEN: Final = "layout.spacing, layout.long_lines, layout.keyword_newline"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with two faults planted.

    Three queries are a union over all tables, each part by the same macros; over two of the tables they say
    as much, and take a tenth of the minutes. Of the models of one table each, those with keys, arrays, JSON and money
    of their own are read.
    """
    folder = tmp_path_factory.mktemp("style")
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    (folder / PLANTED).write_text(BADLY_WRITTEN)
    (folder / UNPARSABLE).write_text(HALF_WRITTEN)
    (folder / ".sqlfluffignore").write_text("\n".join(ALIKE))
    _replace(folder / "macros/cdc/contract.sql", r"return\(\[.*?\]\)", "return(['member_preferences', 'members'])")
    _replace(folder / ".sqlfluff", r"^exclude_rules = ", f"exclude_rules = {OF_WHAT_IS_WRITTEN}, ")
    return folder


def _replace(file: Path, pattern: str, new: str) -> None:
    text, found = re.subn(pattern, new, file.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert found == 1
    file.write_text(text)


def test_all_that_dbt_renders_keeps_to_the_style(structure_warehouse: Warehouse, copied: Path) -> None:
    codes = {
        file["filepath"]: {violation["code"] for violation in file["violations"]}
        for file in _linted(structure_warehouse, copied)
    }
    written = {str(path.relative_to(copied)) for path in (copied / "dbt_project").rglob("*.sql")}
    assert set(codes) == written - set(ALIKE)
    assert written > set(ALIKE)
    assert {path: found for path, found in codes.items() if found} == {
        PLANTED: {"CP01", "CP02"},
        UNPARSABLE: {"PRS"},
    }


def _linted(warehouse: Warehouse, folder: Path) -> list[dict[str, Any]]:
    """Lint a project in a process of its own: sqlfluff sets dbt up for all of its process.

    In another BigQuery project nothing is built, so that what is rendered is the same whatever other tests have built.
    """
    environment = os.environ | {
        "MILLRACE_PROJECT": "millrace-style",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    sqlfluff = Path(sys.executable).with_name("sqlfluff")
    command = [sqlfluff, "lint", "dbt_project", "--templater", "dbt", "--format", "json", "--disable-progress-bar"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
