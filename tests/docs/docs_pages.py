"""What the documentation shows: its pages, the commands in them, the links and the paths they name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("devstack", "ingest", "pipeline", "reconcile", "make", "dbt")

_FENCE = re.compile(r"^\s*```\s*(\w*)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$")
_SHELLS = ("bash", "sh")
_USAGE = "[OPTIONS]"
"""In the usage of a command, as the reference has it: a pattern, no command."""


@dataclass(frozen=True)
class Shown:
    """Something that a page shows.

    Attributes:
        page: the page.
        line: number of the line, from 1.
        text: the command, the target of the link, or the path.
    """

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name
        return f"{page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    block: str | None
    """Language of the fenced block the line is in, empty when it names none; None for prose."""


def pages() -> list[Path]:
    """Return every page of the documentation."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted(path for path in (ROOT / "terraform").rglob("*.md") if ".terraform" not in path.parts),
    ]


def commands(page: Path) -> Iterator[Shown]:
    """Return the shell lines of a page, and the calls of our programs within its prose.

    In a `console` block a command follows a `$`, and the rest is output; in a `bash` block every line is one. Of other
    blocks and of `code` in prose, what begins with one of our programs counts; a heading only names a command.
    """
    lines = list(_lines(page))
    for index, line in enumerate(lines):
        if line.block is None:
            for span in [] if line.text.startswith("#") else _SPAN.findall(line.text):
                text = span.replace(r"\|", "|")
                if _calls_a_program(text):
                    yield Shown(page, line.number, text)
            continue
        text = line.text.strip()
        if _USAGE in text:
            continue
        if text.startswith("$ "):
            yield Shown(page, line.number, _joined(lines, index).removeprefix("$ "))
        elif line.block in _SHELLS and (index == 0 or not lines[index - 1].text.endswith("\\")):
            yield Shown(page, line.number, _joined(lines, index))
        elif line.block == "" and _calls_a_program(text):
            yield Shown(page, line.number, text)


def links(page: Path) -> Iterator[Shown]:
    """Return the links of a page that stay within the repository."""
    for line in _lines(page):
        if line.block is None:
            for target in _LINK.findall(re.sub(_SPAN, "", line.text)):
                if not target.startswith(("http://", "https://", "mailto:")):
                    yield Shown(page, line.number, target)


def named_paths(page: Path) -> Iterator[Shown]:
    """Return the paths of the repository that a page names as `code`."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "target", "logs"}
    for line in _lines(page):
        if line.block is None:
            for span in _SPAN.findall(line.text):
                if re.fullmatch(r"[\w.-]+(/[\w.-]*)+", span) and span.split("/")[0] in folders:
                    yield Shown(page, line.number, span)


def broken_link(link: Shown) -> str | None:
    """Return why a link leads nowhere, or None."""
    path, _, anchor = link.text.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    if not target.exists():
        return f"{link} is not there"
    if anchor and target.suffix == ".md" and anchor not in _anchors(target):
        return f"{link} has no such heading"
    return None


def _joined(lines: list[_Line], index: int) -> str:
    text = lines[index].text.strip()
    while text.endswith("\\") and index + 1 < len(lines):
        index += 1
        text = text.removesuffix("\\") + lines[index].text.strip()
    return text


def _calls_a_program(text: str) -> bool:
    words = text.split()
    return len(words) > 1 and words[0] in PROGRAMS


def _lines(page: Path) -> Iterator[_Line]:
    block: str | None = None
    for number, text in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(text)
        if fence:
            block = fence.group(1) if block is None else None
        elif text.strip():
            yield _Line(number, text, block)


def _anchors(page: Path) -> set[str]:
    """Return GitHub's anchors of the headings: lower case, letters, digits and hyphens."""
    headings = (_HEADING.match(line.text) for line in _lines(page) if line.block is None)
    return {re.sub(r"[^\w\- ]", "", found.group(1).lower()).replace(" ", "-") for found in headings if found}
