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


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One local stack for all tests that only use it; whoever breaks things starts one of their own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
