"""The project's statements, sent once to a local BigQuery and read by GoogleSQL's own analyzer."""

from collections.abc import Iterator
from typing import Any

import pytest
from dbt_statements import ROOT, Recording, record
from googlesql import Catalog

from core.contracts import load_contracts
from core.raw_row import RAW_COLUMNS
from devstack.bigquery import running_bigquery


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Recording]:
    with running_bigquery() as address:
        environment = {
            "BIGQUERY_EMULATOR_HOST": address.rest_url,
            "BIGQUERY_STORAGE_EMULATOR_HOST": address.grpc_target,
            "MILLRACE_PROJECT": "millrace-local",
        }
        contracts = load_contracts(ROOT / "dbt_project/models/raw")
        yield record(environment, contracts, tmp_path_factory.mktemp("dbt"), dbt_project)


@pytest.fixture
def catalog(recording: Recording) -> Catalog:
    """What stands in BigQuery before the first statement: raw tables and seeds."""
    made = Catalog("millrace-local")
    for contract in load_contracts(ROOT / "dbt_project/models/raw").values():
        made.add(contract.dataset, contract.name, {column.name: column.data_type for column in RAW_COLUMNS})
    for dataset, name, columns in recording.seeds():
        made.add(dataset, name, columns)
    return made
