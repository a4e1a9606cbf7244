from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError
from pipeline.config import PipelineConfig, load_config

REPOSITORY = Path(__file__).parents[3]


def load(tmp_path: Path, text: str) -> PipelineConfig:
    path = tmp_path / "pipeline.yml"
    path.write_text(text)
    return load_config(path)


def test_the_file_of_the_project_is_valid_and_its_zones_have_selectors() -> None:
    config = load_config(REPOSITORY / "pipeline.yml")
    cadences = {zone.name: zone.every for zone in config.zones}
    assert cadences == {
        "structure": timedelta(seconds=60),
        "refined": timedelta(seconds=300),
        "analytics": timedelta(seconds=300),
        "raw": timedelta(days=1),
    }
    assert [zone.name for zone in config.zones if zone.freshness] == ["raw"]
    assert [zone.name for zone in config.select((), once=True)] == ["structure", "refined", "analytics"]
    assert [zone.name for zone in config.select(("raw",), once=True)] == ["raw"]
    selectors = yaml.safe_load((REPOSITORY / "selectors.yml").read_text())["selectors"]
    assert set(cadences) <= {selector["name"] for selector in selectors}
    assert config.reconciliation is not None


@given(count=st.integers(1, 10_000), unit=st.sampled_from("smhd"))
def test_durations_are_a_number_and_a_unit(count: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]
    config = PipelineConfig.model_validate({"version": 1, "zones": [{"name": "structure", "every": f"{count}{unit}"}]})
    assert config.zones[0].every == timedelta(seconds=count * seconds)


@pytest.mark.parametrize(
    ("zones", "fault"),
    [
        ("[]", "zones"),
        ("[{name: structure, every: 60}]", "60 is not a duration"),
        ("[{name: structure, every: 0s}]", "'0s' is not a duration"),
        ("[{name: structure, every: -5s}]", "'-5s' is not a duration"),
        ("[{name: structure, every: 5 minutes}]", "90s, 5m, 12h or 1d"),
        ("[{name: structure}]", "zones.0.every"),
        ("[{name: 'structure; rm', every: 60s}]", "zones.0.name"),
        ("[{name: structure, every: 60s, evry: 1s}]", "zones.0.evry"),
        ("[{name: structure, every: 60s}, {name: structure, every: 60s}]", "declared twice"),
        (
            "[{name: refined, every: 60s, after: [structure]}, {name: structure, every: 60s}]",
            "zone 'refined' comes after 'structure', which is not declared above it",
        ),
        ("[{name: structure, every: 60s, after: [structure]}]", "not declared above it"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, zones: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match="is not valid") as caught:
        load(tmp_path, f"version: 1\nzones: {zones}\n")
    assert fault in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "version: 2\nzones: [{name: structure, every: 60s}]\n"])
def test_another_format_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="not valid"):
        load(tmp_path, text)


def test_text_that_is_not_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        load(tmp_path, "zones: [")


def test_a_missing_file_is_told_with_the_option_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--config"):
        load_config(tmp_path / "pipeline.yml")


def test_zones_are_selected_in_the_order_of_the_file() -> None:
    config = load_config(REPOSITORY / "pipeline.yml")
    assert [zone.name for zone in config.select([])] == ["structure", "refined", "analytics", "raw"]
    assert [zone.name for zone in config.select(["analytics", "structure"])] == ["structure", "analytics"]
    with pytest.raises(ConfigurationError, match=r"no zone bronze; .* declares structure, refined, analytics"):
        config.select(["structure", "bronze"])
