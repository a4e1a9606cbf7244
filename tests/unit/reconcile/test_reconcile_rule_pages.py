"""The pages of the rules: every example in them is compared by the engine, and comes out as the page says."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from reconcile_tables import column, compared, planned

from reconcile.config import ColumnConfig
from reconcile.config_file import load_config

GUIDES = Path(__file__).parents[3] / "docs/guides"
# Deletes are of rows and not of a column; their page has a test of its own.
OF_ROWS = {"reconcile-rule-soft-deletes", "reconcile-rule-in-flight"}
"""Rules of whole rows; their pages have tests of their own."""
PAGES = sorted(page for page in GUIDES.glob("reconcile-rule-*.md") if page.stem not in OF_ROWS)
_SET = re.compile(r"Type `(?P<type>[^`]+)`:\n\n```yaml\n(?P<config>.*?)```\n\n(?P<table>(?:\|[^\n]*\n)+)", re.DOTALL)
_ROW = re.compile(r"\| `(?P<left>.*)` \| `(?P<right>.*)` \| (?P<verdict>equal|different) \|")


def _value(text: str, data_type: str) -> Any:
    if text == "null":
        return None
    read: dict[str, Callable[[str], Any]] = {
        "numeric": Decimal,
        "float64": float,
        "int64": int,
        "string": yaml.safe_load,
        "timestamp": datetime.fromisoformat,
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
        "array<string>": json.loads,
        "array<int64>": json.loads,
        "json": str,
    }
    return read[data_type](text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_comes_out_as_its_page_says(page: Path) -> None:
    sets = list(_SET.finditer(page.read_text(encoding="utf-8")))
    assert sets
    for found in sets:
        data_type: Any = found["type"]
        config = ColumnConfig.model_validate(yaml.safe_load(found["config"])["columns"]["value"])
        rows = list(_ROW.finditer(found["table"]))
        assert len(rows) == found["table"].count("\n") - 2
        plan = planned(column("id", "int64", is_key=True), column("value", data_type, rule=config.rule()))
        left = [(n, _value(row["left"], data_type)) for n, row in enumerate(rows)]
        right = [(n, _value(row["right"], data_type)) for n, row in enumerate(rows)]
        changed = {int(d.key[0].value or -1) for d in compared(plan, left, right).sample}
        assert changed == {n for n, row in enumerate(rows) if row["verdict"] == "different"}, found["config"]


def test_every_rule_and_mode_has_its_page_and_the_guide_leads_to_it() -> None:
    guide = (GUIDES / "reconcile.md").read_text(encoding="utf-8")
    pages = {
        *GUIDES.glob("reconcile-rule-*.md"),
        *GUIDES.glob("reconcile-mode-*.md"),
        GUIDES / "reconcile-operations.md",
    }
    assert {page.name for page in pages if f"]({page.name}" not in guide} == set()
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    rules = ColumnConfig().rule().__dataclass_fields__
    assert [name for name in rules if f"`{name}" not in shown and f"{{{name}" not in shown] == []


def test_the_example_of_the_operations_guide_is_valid(tmp_path: Path) -> None:
    example = (GUIDES / "reconcile-operations.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "reconcile.yml").write_text(example, encoding="utf-8")
    config = load_config(tmp_path / "reconcile.yml")
    assert config.alert is not None
    assert config.defaults.thresholds is not None
    assert config.comparisons[0].partition is not None
