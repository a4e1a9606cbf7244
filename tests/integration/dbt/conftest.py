"""One local BigQuery for these tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from local_bigquery import environment_of
from structure_warehouse import ROOT, Warehouse, connect

from core.contracts import load_contracts
from core.settings import load_settings
from devstack.bigquery import BigQueryAddress, running_bigquery

Shared = tuple[BigQueryAddress, Warehouse]


@pytest.fixture(scope="session")
def shared_warehouse(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Shared]:
    with running_bigquery() as address:
        with environment_of(address):
            contracts = load_contracts(ROOT / "dbt_project/models/raw")
            made = connect(load_settings(), contracts, tmp_path_factory.mktemp("dbt"), dbt_project)
        yield address, made


@pytest.fixture(scope="module")
def structure_warehouse(shared_warehouse: Shared) -> Iterator[Warehouse]:
    address, warehouse = shared_warehouse
    with environment_of(address):
        yield warehouse
