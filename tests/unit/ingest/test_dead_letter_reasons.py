"""Every reason that the ingester gives is known to its filters and explained in the guides, and no other is."""

import ast
import re
from pathlib import Path

from ingest.dead_letters.reasons import REASONS

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "ingest/dead_letters/reasons.py"
ERRORS = {"DecodeError": 0, "FetchError": 0, "DeadLetter": 1, "give_up": 1, "_give_up": 1}
"""What is given a reason, and as which of its arguments."""

NO_LETTER = {"invalid_push"}
"""What is answered to the one who sent it."""

GUIDES = ("docs/guides/ingest.md", "docs/guides/other-transports.md")


def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted((ROOT / "ingest").rglob("*.py")) if path != CATALOGUE]


def given(tree: ast.Module) -> set[str]:
    """Return the reasons that a module gives word for word."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(ast.unparse(call.func).rpartition(".")[2], call.args) for call in calls]
    words = [args[ERRORS[name]] for name, args in named if name in ERRORS and len(args) > ERRORS[name]]
    return {word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)}


def texts(tree: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def explained(page: str) -> set[str]:
    """Return the codes in the first column of a guide's tables of reasons."""
    codes: set[str] = set()
    is_inside = False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        is_inside = line.startswith("|") and (is_inside or line.startswith("| reason"))
        if is_inside:
            codes |= set(re.findall(r"`([a-z0-9_]+)`", line.split("|")[1]))
    return codes - {"audit", "dead_letters"}


def test_every_reason_that_is_given_is_in_the_catalogue() -> None:
    found = set().union(*map(given, trees()))
    assert len(found) > 30, "the source is read"
    assert found - NO_LETTER <= REASONS.keys()


def test_the_catalogue_holds_no_reason_that_is_not_given() -> None:
    assert set().union(*map(texts, trees())) >= REASONS.keys()


def test_the_guides_explain_every_reason_and_no_other() -> None:
    assert set().union(*map(explained, GUIDES)) == REASONS.keys()


def test_what_a_reason_means_is_said_in_a_few_words() -> None:
    assert all(0 < len(words) < 80 for words in REASONS.values())
    assert list(REASONS) == sorted(REASONS)
