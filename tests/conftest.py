"""What tests of several parts share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.stack import Stack, running_stack

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One local stack for all tests that only use it; whoever breaks things starts one of their own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
