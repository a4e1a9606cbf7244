"""Runs of the ingester in processes that may kill themselves, forked from one that has imported everything."""

import asyncio
import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerContext

import pytest
from bounded_memory import watched_flows
from ingest_river import QUICK

from core.contracts import load_contracts
from core.settings import Settings
from ingest import stages
from ingest.failpoints import Failpoint
from ingest.landing import TableLanding
from ingest.row import Landing
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TUNABLES = {"batch_rows": 50, "append_concurrency": 2, "ack_wait_ms": 5}


def context() -> ForkServerContext:
    """A context whose processes start in milliseconds; gRPC must not have run where they fork off."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["ingest.runner", "ingest.setup", "pytest"])
    return forking


async def run_in_child(forking: ForkServerContext, target: Callable[..., None], *arguments: object) -> int:
    """Run a function in a process of its own and return its exit code, negative for a signal."""
    process = forking.Process(target=target, args=arguments)
    process.start()
    await asyncio.to_thread(process.join, 60)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError("the ingester neither ended nor crashed within 60 s")
    return process.exitcode


def ingest(settings: Settings, failpoint: Failpoint) -> None:
    """Run the ingester until it is idle, or until the failpoint kills it."""
    asyncio.run(_ingest(settings, failpoint))


async def _ingest(settings: Settings, failpoint: Failpoint) -> None:
    tunables = IngestSettings.model_validate(QUICK | TUNABLES)
    # A run that is killed is watched to no end; one that ends is, and fails with what it held too much of.
    with pytest.MonkeyPatch.context() as patching, watched_flows(patching):
        await Run(Plan(settings, load_contracts(settings.contracts_path)), tunables, failpoint).run(0.5)


class AckFirst(TableLanding):
    """The mutant: acknowledges what it is about to append."""

    async def _append(self, landings: list[Landing]) -> None:
        self._leases.settle(landing.message for landing in landings)
        for ledger in self._leases._ledgers.values():
            await ledger.transport.drain()
        await super()._append(landings)


def ingest_ack_first(settings: Settings, failpoint: Failpoint) -> None:
    """Run the mutant."""
    stages.TableLanding = AckFirst  # type: ignore[misc]
    ingest(settings, failpoint)
