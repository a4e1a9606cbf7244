"""A river that follows the guides: a copy of the dbt project with the guide's table, on a project of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docs_pages import ROOT

PROJECT = "millrace-guide"
STRUCTURE = "dbt_project/models/structure/member"
_COPIED = ("dbt_project", "macros", "profiles", "dbt_project.yml", "selectors.yml", "reconcile.yml")


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language in a page of `docs`."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Reader:
    """Somebody who follows a guide.

    Attributes:
        folder: where they work.
        environment: variables of their shell.
    """

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str) -> str:
        """Run one of the commands of this environment, which must succeed, and return what it printed."""
        program = str(Path(sys.executable).with_name(words[0]))
        result = subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
        return result.stdout

    def run_python(self, program: str, *arguments: str) -> str:
        """Run a program that a page shows."""
        return self.run("python", "-c", program.replace("millrace-local", PROJECT), *arguments)


def follow_adding_a_table(folder: Path, environment: Mapping[str, str]) -> Reader:
    """Copy the dbt project, and do what "Adding a table" says, and nothing else."""
    for name in _COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    contract, model, comparison = blocks("guides/adding-a-table.md", "yaml")
    (folder / "dbt_project/models/raw/member/member_vouchers.yml").write_text(contract)
    (folder / STRUCTURE / "str_member_vouchers.sql").write_text(blocks("guides/adding-a-table.md", "sql")[0])
    neighbour = (ROOT / STRUCTURE / "str_member_emails.yml").read_text(encoding="utf-8")
    common = neighbour[neighbour.index("      - name: is_deleted") :]
    (folder / STRUCTURE / "str_member_vouchers.yml").write_text(model + common)
    tables = folder / "macros/cdc/contract.sql"
    tables.write_text(tables.read_text().replace("'members',", "'member_vouchers',\n        'members',"))
    with (folder / "reconcile.yml").open("a") as file:
        file.write(comparison)
    # A project of its own, so that nothing is shared with other tests on the stack.
    reader = Reader(folder, {**os.environ, **environment, "MILLRACE_PROJECT": PROJECT})
    reader.run("ingest", "setup")
    return reader
