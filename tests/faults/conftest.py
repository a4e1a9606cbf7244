"""A real Pub/Sub stand-in and a Storage Write server that fails on command."""

import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.contracts import load_contracts
from core.settings import Settings
from devstack.pubsub.process import running_server
from ingest.setup import _set_up_pubsub

# The river is shared with the integration tests, which are no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "ingest"))

from bounded_memory import watched_flows
from faulty_write import FaultyWrite, OpenRiver, serving
from ingest_river import River


@pytest.fixture(scope="session")
def pubsub() -> Iterator[str]:
    with running_server() as address:
        yield address


@pytest.fixture(autouse=True)
def memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with watched_flows(monkeypatch):
        yield


@pytest.fixture
def faulty_river(pubsub: str, tmp_path: Path) -> OpenRiver:
    """Opens a river of one table whose BigQuery is the given server."""
    shutil.copy("dbt_project/models/raw/member/members.yml", tmp_path)

    @asynccontextmanager
    async def opened(faulty: FaultyWrite) -> AsyncIterator[River]:
        async with serving(faulty) as address:
            settings = Settings(
                project=f"fault-{uuid.uuid4().hex[:12]}",
                contracts_path=tmp_path,
                pubsub_emulator_host=pubsub,
                bigquery_emulator_host="127.0.0.1:1",
                bigquery_storage_emulator_host=address,
            )
            river = River(settings, load_contracts(tmp_path))
            _set_up_pubsub(settings, river.contracts)
            river.forget_published()
            yield river
            river.channel.close()
        assert faulty.violations == []

    return opened
