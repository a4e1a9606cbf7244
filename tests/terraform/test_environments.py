"""The environments differ in what they are given, not in what they ask for.

Terraform has no way to declare the variables of several roots once, so the files are held to each other instead.
"""

from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / "terraform" / "environments"


@pytest.mark.parametrize("name", ["variables.tf", "outputs.tf", "versions.tf"])
def test_every_environment_asks_for_and_tells_the_same(name: str) -> None:
    found = {path.parent.name: path.read_text(encoding="utf-8") for path in ENVIRONMENTS.glob(f"*/{name}")}
    assert set(found) == {"dev", "staging", "production"}
    assert len(set(found.values())) == 1, f"{name} differs between environments"


def test_each_environment_has_a_state_of_its_own() -> None:
    found = [path.read_text(encoding="utf-8") for path in ENVIRONMENTS.glob("*/backend.tf")]
    assert len(found) == len(set(found)) == 3
