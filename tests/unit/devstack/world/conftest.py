"""Worlds that several tests read; nobody may change them."""

import pytest
from world_stories import ROOT, Told, live_through

from core.contracts import Contracts, load_contracts
from devstack.world import World


@pytest.fixture(scope="session")
def contracts() -> Contracts:
    return load_contracts(ROOT / "dbt_project/models/raw")


@pytest.fixture(scope="session")
def told(contracts: Contracts) -> Told:
    """A world of 800 members with every difficulty at its usual share."""
    return live_through(World(7, 800, contracts))
