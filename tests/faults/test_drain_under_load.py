"""SIGTERM under load: not ready at once, gone in ten seconds whatever BigQuery does, nothing acknowledged in vain.

Ten seconds is what Cloud Run leaves between SIGTERM and SIGKILL.
"""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from faulty_write import GOOD, Answer, FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from devstack.pubsub import control

LIMIT_S = 10.0
ROWS = 20
SOME = 10 * ROWS
SMALL = {
    "MILLRACE_INGEST_BATCH_ROWS": str(ROWS),
    "MILLRACE_INGEST_BATCH_ROWS_MAX": str(ROWS),
    "MILLRACE_INGEST_OUTSTANDING_MESSAGES": "400",
    "MILLRACE_INGEST_APPEND_CONCURRENCY": "2",
    "MILLRACE_INGEST_TRANSPORT": "pubsub",
}

# The mutant: it waits for what it holds however long that takes.
PATIENT = """
import ingest.runner

async def finish(run, stages):
    await stages.drain()

ingest.runner.Run._finish = finish
from ingest.cli import main
main()
"""


@dataclass
class Loaded:
    """A process of the ingester that has begun to land, and has more to do than it can."""

    process: "subprocess.Popen[str]"
    status: httpx.AsyncClient

    async def stop(self) -> float:
        """Send SIGTERM and return how long the process lived on, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, LIMIT_S)
        return time.monotonic() - began


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.005)


def _address(log: list[str]) -> str | None:
    found = re.search(r'"address": "(http://127\.0\.0\.1:\d+)"', "".join(log))
    return found[1] if found else None


@asynccontextmanager
async def loaded(river: River, faulty: FaultyWrite, *program: str) -> AsyncIterator[Loaded]:
    """Start the ingester and wait until rows have landed."""
    command = [sys.executable, *(program or ("-m", "ingest.cli")), "run", "--http-port", "0"]
    log: list[str] = []
    with subprocess.Popen(  # noqa: ASYNC220 - it starts in milliseconds
        command, env=river.environment(**SMALL), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        reading = asyncio.create_task(asyncio.to_thread(lambda: log.extend(process.stderr or ())))
        try:
            await until(lambda: _address(log) is not None)
            await until(lambda: len(faulty.landed_ids(river.settings.project)) >= SOME)
            async with httpx.AsyncClient(base_url=_address(log) or "") as status:
                yield Loaded(process, status)
        finally:
            process.kill()
            await reading


def silent_after_some() -> FaultyWrite:
    """A BigQuery that takes some rows and then never answers again."""
    return FaultyWrite(script=[GOOD] * (SOME // ROWS + 5), for_ever=Answer(hangs=True))


async def acked(river: River) -> int:
    stats = await asyncio.to_thread(control.stats, river.settings.pubsub_emulator_host or "")
    return stats[river._subscription(topic_of("members"))].acked


async def until_not_ready(status: httpx.AsyncClient) -> list[str]:
    """Return why the process is not ready, as soon as it is not."""
    async with asyncio.timeout(5):
        while True:
            answer = await status.get("/readyz")
            if answer.status_code != 200:
                return list(answer.json()["faults"])


@pytest.mark.parametrize("answers", [True, False], ids=["answering", "silent"])
async def test_a_run_under_load_ends_in_time_and_acknowledges_only_what_landed(
    faulty_river: OpenRiver, answers: bool
) -> None:
    faulty = FaultyWrite() if answers else silent_after_some()
    async with faulty_river(faulty) as river:
        for start in range(0, 10_000, 1_000):
            await asyncio.to_thread(river.publish_members, range(start, start + 1_000))
        async with loaded(river, faulty) as run:
            stopping = asyncio.create_task(run.stop())
            if not answers:
                assert "draining" in (await until_not_ready(run.status))[0]
                assert (await run.status.get("/healthz")).status_code == 200
            assert await stopping < LIMIT_S
            assert run.process.returncode == 0
        landed = faulty.landed_ids(river.settings.project)
        assert SOME <= len(landed) < 10_000
        assert await acked(river) <= len(set(landed))
        # What was given back has come again by now; the leases of what was never taken up end here.
        faulty.for_ever = None
        river.seek_to_beginning()
        await river.run(batch_rows=1_000)
        assert set(faulty.landed_ids(river.settings.project)) == river.sent


async def test_the_control_that_waits_for_bigquery_does_not_end_in_time(faulty_river: OpenRiver) -> None:
    """Were this mutant to pass the test above, the test would prove nothing."""
    faulty = silent_after_some()
    async with faulty_river(faulty) as river:
        await asyncio.to_thread(river.publish_members, range(1_000))
        async with loaded(river, faulty, "-c", PATIENT) as run:
            with pytest.raises(subprocess.TimeoutExpired):
                await run.stop()
