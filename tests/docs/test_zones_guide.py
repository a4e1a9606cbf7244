"""The guide on zones tells the numbers and names that the models have."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/zones.md").read_text(encoding="utf-8")
MODELS = ROOT / "dbt_project/models"
MEMBERS = (MODELS / "analytics/ms_member.sql").read_text(encoding="utf-8")
ADDRESSES = (MODELS / "refined/ref_member_addresses.sql").read_text(encoding="utf-8")


def test_the_weights_of_the_engagement_score_are_those_of_the_model() -> None:
    weights = _weights()
    assert {row[0]: int(row[1]) for row in _table("part")} == weights
    assert sum(weights.values()) == 100
    for part in weights:
        assert f"{{{{ weights.{part} }}}} * engagement.{part}_part" in MEMBERS


def test_the_weights_are_those_of_the_data_dictionary() -> None:
    (model,) = yaml.safe_load((MODELS / "analytics/ms_member.yml").read_text(encoding="utf-8"))["models"]
    (score,) = [column for column in model["columns"] if column["name"] == "engagement_score"]
    told = re.findall(r"(\w+) (\d+)(?=[,;])", score["description"])
    assert {part.lower(): int(weight) for part, weight in told} == _weights()


def test_a_part_of_the_score_is_full_where_the_model_says() -> None:
    full = {row[0]: f"{row[2]} {row[3]}" for row in _table("part")}
    (days,) = re.findall(r"greatest\(0, (\d+) - days_since_action\), 0\) / \1 as recency_part", MEMBERS)
    assert f"{days} days" in full["recency"]
    (active,) = re.findall(r"least\(active_days_90d, (\d+)\) / \1 as frequency_part", MEMBERS)
    assert f"{active} active days" in full["frequency"]
    (score,) = re.findall(r"monetary_score / (\d) as monetary_part", MEMBERS)
    assert f"monetary score {score}" in full["monetary"]
    (interactions,) = re.findall(r"least\(interactions_90d, (\d+)\) / \1 as interactions_part", MEMBERS)
    assert f"{interactions} in 90 days" in full["interactions"]
    assert "contactable_channels / 4 as contactability_part" in MEMBERS
    assert "all four channels" in full["contactability"]


def test_stages_and_segments_come_in_the_order_of_the_model() -> None:
    for name in ("lifecycle_stage", "segment"):
        case = MEMBERS[: MEMBERS.index(f"end as {name}")].rpartition("case")[2]
        outcomes = re.findall(r"(?:then|else)\s+'(\w+)'", case)
        assert [row[0].strip("`") for row in _table(name.removeprefix("lifecycle_"))] == outcomes, name


def test_a_place_is_as_sure_and_its_geohash_as_long_as_the_guide_says() -> None:
    told = {row[0].strip("`"): row for row in _table("`geocode_level`")}
    confidence = dict(re.findall(r"when '(\w+)' then (\d\.\d)", ADDRESSES))
    assert {level: row[2] for level, row in told.items() if level != "none"} == confidence
    lengths = dict(re.findall(r"when '(\w+)' then (\d)\b(?!\.)", ADDRESSES))
    assert lengths.keys() == told.keys() - {"country", "none"}
    for level, length in lengths.items():
        assert told[level][3].startswith(f"{length} characters"), level


def _weights() -> dict[str, int]:
    (said,) = re.findall(r"set weights = \{([^}]*)\}", MEMBERS)
    return {part: int(weight) for part, weight in re.findall(r"'(\w+)': (\d+)", said)}


def _table(first: str) -> list[list[str]]:
    """Return the cells of the guide's table whose first column has this head."""
    (body,) = re.findall(rf"(?m)^\| {re.escape(first)} \|.*\n\| ---.*\n((?:\|.*\n)+)", GUIDE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
