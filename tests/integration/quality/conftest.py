"""One clean warehouse for these tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from quality_warehouse import ROOT, Warehouse, make

from core.contracts import load_contracts
from core.settings import load_settings
from devstack.bigquery import running_bigquery


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Warehouse]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        patch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", address.grpc_target)
        patch.setenv("MILLRACE_PROJECT", "millrace-local")
        contracts = load_contracts(ROOT / "dbt_project/models/raw")
        yield from make(load_settings(), contracts, tmp_path_factory.mktemp("dbt"), dbt_project)
