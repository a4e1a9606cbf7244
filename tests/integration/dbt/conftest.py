"""One local BigQuery for these tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from structure_warehouse import ROOT, Warehouse, connect

from core.contracts import load_contracts
from core.settings import load_settings
from devstack.bigquery import running_bigquery


@pytest.fixture(scope="session")
def structure_warehouse(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Warehouse]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        patch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", address.grpc_target)
        patch.setenv("MILLRACE_PROJECT", "millrace-local")
        contracts = load_contracts(ROOT / "dbt_project/models/raw")
        yield connect(load_settings(), contracts, tmp_path_factory.mktemp("dbt"), dbt_project)
