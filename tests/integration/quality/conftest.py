"""One clean warehouse for these tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from local_bigquery import environment_of
from quality_warehouse import ROOT, Warehouse, make

from core.contracts import load_contracts
from core.settings import load_settings
from devstack.bigquery import BigQueryAddress, running_bigquery

Shared = tuple[BigQueryAddress, Warehouse]


@pytest.fixture(scope="session")
def shared_warehouse(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Shared]:
    with running_bigquery() as address, ExitStack() as kept:
        with environment_of(address):
            contracts = load_contracts(ROOT / "dbt_project/models/raw")
            made = kept.enter_context(make(load_settings(), contracts, tmp_path_factory.mktemp("dbt"), dbt_project))
        yield address, made


@pytest.fixture(scope="module")
def clean(shared_warehouse: Shared) -> Iterator[Warehouse]:
    address, warehouse = shared_warehouse
    with environment_of(address):
        yield warehouse
