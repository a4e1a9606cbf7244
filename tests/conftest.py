"""What tests of several parts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from devstack.stack import Stack, running_stack

ROOT = Path(__file__).parents[1]

# How long an example takes says nothing on a shared machine; everything else stays as hypothesis chose it.
settings.register_profile("millrace", settings.default, deadline=None)
settings.load_profile("millrace")

# Tests below these folders share something costly to make: with several processes, one of them runs them all.
_TOGETHER = ("googlesql", "integration/dbt", "integration/dbt_zones")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, so that its fixtures are made once."""
    for item in items:
        path = item.path.relative_to(ROOT / "tests")
        folder = path.parent.as_posix()
        item.add_marker(pytest.mark.xdist_group(folder if folder in _TOGETHER else path.as_posix()))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One local stack for all tests that only use it; whoever breaks things starts one of their own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
