"""One pair of stand-ins for all tests of the ingester, and a project of its own for each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bounded_memory import watched_flows
from ingest_river import River, new_river

from core.contracts import load_contracts
from core.settings import Settings
from devstack.bigquery import running_bigquery
from devstack.pubsub.process import running_server

TABLES = ("members", "member_emails", "member_preferences")


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("contracts")
    for table in TABLES:
        shutil.copy(Path("dbt_project/models/raw/member") / f"{table}.yml", folder)
    with running_bigquery() as bigquery, running_server() as pubsub:
        yield Settings(
            contracts_path=folder,
            bigquery_emulator_host=bigquery.rest_url,
            bigquery_storage_emulator_host=bigquery.grpc_target,
            pubsub_emulator_host=pubsub,
        )


@pytest.fixture(autouse=True)
def memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with watched_flows(monkeypatch):
        yield


@pytest.fixture
def river(stand_ins: Settings) -> Iterator[River]:
    river = new_river(stand_ins, load_contracts(stand_ins.contracts_path))
    yield river
    river.close()
