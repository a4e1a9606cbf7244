"""Every command, link and path that the documentation shows is real, and what is quick is really run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docs_commands import faults
from docs_pages import ROOT, Shown, broken_link, commands, links, named_paths, pages

from devstack.stack import Stack

PAGES = pages()
MADE_BY_THE_READER = "member_vouchers"


@pytest.fixture(autouse=True)
def _profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_PROFILES_DIR", str(ROOT / "profiles"))


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_command_shown_would_be_taken(page: Path) -> None:
    found = [fault for shown in commands(page) for fault in faults(shown)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_link_and_every_path_shown_is_there(page: Path) -> None:
    broken = [fault for link in links(page) if (fault := broken_link(link))]
    missing = [f"{path} is not there" for path in named_paths(page) if not (ROOT / path.text).exists()]
    missing = [fault for fault in missing if MADE_BY_THE_READER not in fault]
    assert not broken + missing, "\n".join(broken + missing)


def test_the_pages_show_commands_of_every_program_and_every_selector() -> None:
    shown = [command.text for page in PAGES for command in commands(page)]
    for wanted in ("devstack up", "ingest run", "pipeline run --follow", "reconcile run", "make demo"):
        assert any(wanted in text for text in shown), wanted
    assert len(shown) > 100


@pytest.mark.parametrize(
    "wrong",
    [
        "devstack upp",
        "devstack demo --member 2000",
        "devstack demo --members few",
        "ingest run --until-idle",
        'eval "$(devstack environment)" && ingest run',
        "ingest setup && pipeline run --onse",
        "MILLRACE_LOG_LEVEL=DEBUG pipeline run --once --zones structure",
        "reconcile run --json | reconcile shows",
        "reconcile run members",
        "make dmeo",
        "dbt build --selector structur",
        "dbt biuld --selector structure",
        "dbt build --selectors structure",
        "python terraform/no_such_script.py",
        "terraform/checks environments/dev",
        "devstack up 'unclosed",
    ],
)
def test_a_wrong_command_is_found(wrong: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```console\n$ devstack status\nrunning\n$ {wrong}\n```\n")
    shown = list(commands(page))
    assert [command.line for command in shown] == [4, 6]
    assert not faults(shown[0])
    assert faults(shown[1])


@pytest.mark.parametrize(
    "right",
    [
        "devstack up --help",
        "devstack demo --members 2000 --events 20000 --keep   # smaller",
        'eval "$(devstack env --folder build/demo/stack)" && ingest run --until-idle 5 --json > run.json',
        "pipeline run --once --zone structure --vars '{cdc_overlap_minutes: 2880}'",
        "reconcile run --table members --table member_points --json | jq .verdict",
        "make test PYTEST_ARGS='-k docs'",
        "dbt build --selector refined && dbt source freshness --selector raw",
        "for name in ingest pipeline; do docker build -f containers/$name.Dockerfile .; done",
        "terraform/check environments/dev",
    ],
)
def test_a_right_command_is_taken(right: str, tmp_path: Path) -> None:
    assert not faults(Shown(tmp_path / "page.md", 1, right))


def test_commands_are_found_in_blocks_and_in_prose_and_output_is_not(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Run `make demo`, or `a | b`.\n\n| a | `reconcile show x \\| cat` |\n\n"
        "```console\n$ devstack up \\\n    --json\ningest is no command here\n```\n"
        "```sh\ngcloud version\n```\n```\nreconcile plan  # types\nother\n```\n```yaml\nmake: no\n```\n"
    )
    assert [shown.text for shown in commands(page)] == [
        "make demo",
        "reconcile show x | cat",
        "devstack up --json",
        "gcloud version",
        "reconcile plan  # types",
    ]


def test_a_broken_link_and_a_missing_path_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page, and more\n\n[a](page.md#a-page-and-more) [b](#nowhere) ![c](no.png) [d](https://example.com)\n\n"
        "`core/settings.py` `core/no_such.py` `build/demo/summary.json` `application/json`\n"
    )
    assert [fault for link in links(page) if (fault := broken_link(link))] == [
        "page.md:3: #nowhere has no such heading",
        "page.md:3: no.png is not there",
    ]
    assert [path.text for path in named_paths(page)] == ["core/settings.py", "core/no_such.py"]


# What the pages show as quick, with the exit code they promise. `{folder}` is the stack's, `{state}` an empty folder.
RUN = {
    "devstack status --folder {folder}": 0,
    "devstack status --folder {state}": 1,
    "devstack env --folder {state}": 1,
    "devstack doctor --folder {folder}": 0,
    "pipeline status --state {state}": 0,
    "pipeline run": 2,
    "reconcile plan --table no_such_table": 2,
    "reconcile show {state}": 1,
}


def test_the_quick_commands_end_as_the_pages_say(stack: Stack, tmp_path: Path) -> None:
    environment = {**os.environ, **stack.environment(), "DBT_PROFILES_DIR": str(ROOT / "profiles")}
    for template, expected in RUN.items():
        words = template.format(folder=stack.folder, state=tmp_path).split()
        program = str(Path(sys.executable).with_name(words[0]))
        result = subprocess.run([program, *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert result.returncode == expected, f"{template}\n{result.stdout}{result.stderr}"
        assert "Traceback" not in result.stderr
