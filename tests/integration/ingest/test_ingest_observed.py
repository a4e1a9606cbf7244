"""A run as it is seen from outside: its status over HTTP, and its traces."""

import asyncio
import json
import re
import signal
from typing import Any

import httpx
import pytest
from ingest_river import QUICK, River, member, topic_of
from otlp_collector import running_collector
from prometheus_client.parser import text_string_to_metric_families

from core.telemetry import open_tracing
from ingest.http.address import Address, bind
from ingest.runner import Run, RunOptions
from ingest.settings import IngestSettings
from ingest.stages import Plan

TRACE = "0af7651916cd43dd8448eb211c80319c"
CANARY = "canary-4711"


def value(text: str, name: str, **labels: str) -> float:
    """The value of a sample."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    raise AssertionError(f"{name} {labels} is not served")


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


async def test_a_run_says_when_it_is_ready_and_counts_what_it_lands(river: River) -> None:
    listening = bind(Address("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = IngestSettings.model_validate(QUICK)
    run = Run(Plan(river.settings, river.contracts), settings, None, RunOptions(listening=listening))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group, httpx.AsyncClient(base_url=base_url) as client:
        group.create_task(run.run())
        await until_ready(client)
        await asyncio.to_thread(river.publish_members, range(30))
        while run.progress.acked < 30:  # noqa: ASYNC110 - counters have no event to wait for
            await asyncio.sleep(0.01)
        text = (await client.get("/metrics")).text
        run.stop()
    assert value(text, "millrace_ingest_landed_rows_total", table="members") == 30
    assert value(text, "millrace_ingest_publish_to_landed_seconds_count", table="members") == 30
    assert value(text, "millrace_ingest_append_seconds_count", table="members") >= 1
    assert value(text, "millrace_ingest_decode_seconds_count", topic=topic_of("members")) >= 1
    assert value(text, "millrace_ingest_connected", subscription=f"{topic_of('members')}-ingest") == 1
    assert value(text, "millrace_ingest_in_flight_messages") == 0
    async with httpx.AsyncClient(base_url=base_url) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/healthz")


async def test_workers_are_one_in_the_metrics_and_ready_together(river: River) -> None:
    with river.start("run", "--workers", "2", "--http-port", "0") as process:
        assert process.stderr is not None
        seen: list[str] = []
        try:
            async with asyncio.timeout(60):
                while not (found := re.search(r'"address": "(http://127\.0\.0\.1:\d+)"', "".join(seen))):
                    seen.append(await asyncio.to_thread(process.stderr.readline))
                async with httpx.AsyncClient(base_url=found[1]) as client:
                    await until_ready(client)
                    await asyncio.to_thread(river.publish_members, range(60))
                    landed = 0.0
                    while landed < 60:
                        await asyncio.sleep(0.1)
                        text = (await client.get("/metrics")).text
                        if 'landed_rows_total{table="members"}' in text:
                            landed = value(text, "millrace_ingest_landed_rows_total", table="members")
                    assert value(text, "millrace_ingest_in_flight_messages_limit") == 2 * 20_000
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 0
    assert landed == 60
    river.assert_nothing_lost()


async def test_the_trace_of_a_published_message_reaches_the_append_of_its_row(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, data = member(1, first_name=CANARY)
    attributes = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "secret": CANARY}
    river.publish(topic_of("members"), [{"data": data, "ordering_key": key, "attributes": attributes}])
    river.publish_members(range(2, 10))
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, "millrace-ingest")
        settings = IngestSettings.model_validate(QUICK)
        await Run(Plan(river.settings, river.contracts), settings, None, RunOptions(tracing=tracing)).run(0.3)
        await asyncio.to_thread(tracing.close)
        spans = {span.name: span for span in collector.spans() if span.trace_id.hex() == TRACE}
    assert {"receive", "decode", "append", "settle"} <= set(spans)
    told: dict[str, Any] = {one.key: one.value for one in spans["append"].attributes}
    assert told["table"].string_value == "members"
    (row,) = [row for row in river.rows("members") if json.loads(row["_key"]) == {"member_id": 1}]
    assert row["_trace_id"] == TRACE
    assert not any(CANARY.encode() in body for body in collector.bodies)
