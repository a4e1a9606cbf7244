"""The page on faults names a test and a control for each of them, and both are there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import ROOT

PAGE = ROOT / "docs" / "design" / "faults.md"
FAULTS = (
    "killed", "503", "429", "RESOURCE_EXHAUSTED", "response lost", "stream invalidated", "offset",
    "row errors in a batch", "poison", "huge", "redelivery storm", "clock skew", "API outage",
    "SIGTERM under load", "full disk", "broker restart",
)  # fmt: skip
"""What the page must speak of, whatever else it does."""

CONTROL = "test_the_control_"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CELLS = 5


def rows(text: str) -> Iterator[list[str]]:
    """Return the cells of each row of the table."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] not in ("fault", "---"):
            yield cells


def functions(path: Path) -> set[str]:
    """Return the names of the tests in a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in found if name.startswith("test_")}


def controls(text: str) -> set[tuple[Path, str]]:
    """Return the file and the function of each control that a page names."""
    links = [link for cells in rows(text) for link in _LINK.findall(cells[-1])]
    return {((PAGE.parent / path).resolve(), name) for path, _, name in (link.partition("#") for link in links)}


def wrong(text: str) -> list[str]:
    """Return what is wrong with a page on faults."""
    found = []
    for cells in rows(text):
        if len(cells) != _CELLS:
            found.append(f"{cells[0]}: {len(cells)} cells")
            continue
        tests = [(PAGE.parent / link).resolve() for link in _LINK.findall(cells[3])]
        if not tests or not all(path.is_file() and functions(path) for path in tests):
            found.append(f"{cells[0]}: no test")
        if not _LINK.search(cells[4]):
            found.append(f"{cells[0]}: no control")
    named = controls(text)
    found += [f"{name}: not in {path.name}" for path, name in named if name not in functions(path)]
    spoken = " ".join(cells[0] for cells in rows(text))
    return found + [f"{fault}: not spoken of" for fault in FAULTS if fault not in spoken]


def test_every_fault_has_its_test_and_its_control() -> None:
    assert wrong(PAGE.read_text(encoding="utf-8")) == []


def test_every_control_is_named() -> None:
    named = controls(PAGE.read_text(encoding="utf-8"))
    files = {path for path, _ in named} | set((ROOT / "tests" / "faults").glob("test_*.py"))
    there = {(path, name) for path in files for name in functions(path) if name.startswith(CONTROL)}
    assert there <= named


@pytest.mark.parametrize(
    ("pattern", "replacement", "fault"),
    [
        (r"\| clock skew.*\n", "", "clock skew: not spoken of"),
        (r"(\| full disk.*\| ).*\|\n", r"\1 |\n", "full disk: no control"),
        (r"#test_the_control_that_drops_its_poison_is_noticed", "#test_nothing", "test_nothing: not in test_poison.py"),
        (r"test_clock_skew.py\) ", "test_clocks.py) ", "clock skew of a day: no test"),
    ],
)
def test_a_page_that_falls_behind_is_found_out(pattern: str, replacement: str, fault: str) -> None:
    """The control."""
    text, times = re.subn(pattern, replacement, PAGE.read_text(encoding="utf-8"))
    assert times == 1
    assert fault in wrong(text)
