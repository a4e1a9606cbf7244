"""The pages of the command reference say what the commands say themselves."""

from pathlib import Path

import pytest

from devstack.docs import COMMANDS, REFERENCE, reference_page, write_reference

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", ["40", "300"])
def test_the_reference_is_what_the_command_says_at_any_width(
    name: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    committed = (ROOT / REFERENCE / f"{name}.md").read_text(encoding="utf-8")
    assert committed == reference_page(name), "run `make docs` and commit docs/reference"


def test_every_command_has_its_page_and_no_other_page_is_there(tmp_path: Path) -> None:
    written = {page.name for page in write_reference(tmp_path)}
    assert written == {page.name for page in (ROOT / REFERENCE).glob("*.md")}
