"""The data dictionary says of each feature what its declaration says."""

import re
from pathlib import Path

import pytest
import yaml

from core.errors import ContractError
from devstack.feature_dictionary import DECLARATION, feature_dictionary, read_features

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "docs/reference/features.md"


def test_the_committed_page_is_what_the_declaration_says() -> None:
    found = COMMITTED.read_text(encoding="utf-8")
    assert found == feature_dictionary(ROOT / DECLARATION), "run `make docs` and commit docs/reference"


def test_every_column_is_in_the_page_once() -> None:
    (model,) = yaml.safe_load((ROOT / DECLARATION).read_text(encoding="utf-8"))["models"]
    listed = re.findall(r"(?m)^\| `(\w+)` \|", feature_dictionary(ROOT / DECLARATION))
    assert sorted(listed) == sorted(column["name"] for column in model["columns"])


def test_periods_are_those_that_the_names_tell() -> None:
    for feature in read_features(ROOT / DECLARATION):
        told = re.search(r"_(\d+)d$", feature.name)
        if told and feature.family not in ("loyalty", "next purchase"):
            assert feature.period_days == int(told[1]), feature.name
        else:
            assert feature.period_days is None, feature.name


def test_features_are_made_from_models_that_are_there() -> None:
    models = {path.stem for path in (ROOT / "dbt_project/models").rglob("*.sql")}
    assert {source for feature in read_features(ROOT / DECLARATION) for source in feature.sources} <= models


def test_a_column_that_says_nothing_is_refused(tmp_path: Path) -> None:
    declaration = tmp_path / "model.yml"
    column = {"name": "spend", "data_type": "int64", "description": "Money.", "config": {"meta": {"feature": {}}}}
    declaration.write_text(yaml.safe_dump({"models": [{"name": "ms_member", "columns": [column]}]}))
    with pytest.raises(ContractError, match="column spend lacks family and sources under config: meta: feature:"):
        feature_dictionary(declaration)


def test_a_bar_does_not_break_the_table_and_values_are_listed(tmp_path: Path) -> None:
    declaration = tmp_path / "model.yml"
    column = {
        "name": "band",
        "data_type": "string",
        "description": "Low | high\nor none.",
        "config": {"meta": {"feature": {"family": "churn", "sources": ["a", "b"], "period_days": 30}}},
        "data_tests": [{"has_value": {}}, {"one_of": {"arguments": {"values": ["low", "high"]}}}],
    }
    declaration.write_text(yaml.safe_dump({"models": [{"name": "ms_member", "columns": [column]}]}))
    page = feature_dictionary(declaration)
    assert "| `band` | string | 30 | `a`, `b` | Low / high or none. One of `low`, `high`. |" in page
    assert "## Churn\n" in page
