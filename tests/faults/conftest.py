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
from ingest import stages
from ingest.flow import FlowControl
from ingest.setup import _set_up_pubsub

# The river is shared with the integration tests, which are no package.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration" / "ingest"))

from faulty_write import FaultyWrite, OpenRiver, serving
from ingest_river import River


@pytest.fixture(scope="session")
def pubsub() -> Iterator[str]:
    with running_server() as address:
        yield address


class Watched(FlowControl):
    """What is in flight, with the limits it must keep."""

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        super().__init__(most_messages, most_bytes)
        self.most_messages, self.most_bytes = most_messages, most_bytes

    def faults(self) -> list[str]:
        """Return how memory was not bounded; a single message over the limit passes alone."""
        found = []
        if (self.messages, self.size) != (0, 0):
            found.append(f"{self.messages} messages, {self.size} bytes left at the end")
        if self.peak_messages > self.most_messages:
            found.append(f"{self.peak_messages} messages at once, over {self.most_messages}")
        if self.peak_size > self.most_bytes and self.peak_messages > 1:
            found.append(f"{self.peak_size} bytes at once, over {self.most_bytes}")
        return found


@pytest.fixture(autouse=True)
def memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold every run of this process to it: never more in flight than allowed, and nothing at the end."""
    flows: list[Watched] = []

    def watched(most_messages: int, most_bytes: int) -> FlowControl:
        flows.append(Watched(most_messages, most_bytes))
        return flows[-1]

    monkeypatch.setattr(stages, "FlowControl", watched)
    yield
    assert [fault for flow in flows for fault in flow.faults()] == []


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
            yield river
            river.channel.close()
        assert faulty.violations == []

    return opened
