"""A river of its own for those who follow the guides."""

import pytest
from docs_reader import Reader, follow_adding_a_table

from devstack.stack import Stack


@pytest.fixture(scope="module")
def reader(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Somebody who has added a table as the guide says."""
    return follow_adding_a_table(tmp_path_factory.mktemp("guide"), stack.environment())
