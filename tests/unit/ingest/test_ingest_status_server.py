"""The status server over real HTTP: alive, ready or why not, and where it listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import httpx
import pytest
from test_ingest_metrics import Connected, observed

from core.errors import ConfigurationError
from ingest.http.address import Address, bind, http_address
from ingest.http.app import status_app
from ingest.http.health import faults
from ingest.http.metrics import registry, take
from ingest.http.observed import Observed
from ingest.http.server import serving
from ingest.http.settings import HttpSettings, load_http_settings


@asynccontextmanager
async def served(run: Observed) -> AsyncIterator[httpx.AsyncClient]:
    listening = bind(Address("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = status_app(lambda: faults(run), registry(lambda: take(run)))
    async with serving(app, listening), httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
        yield client


def ready_run() -> Observed:
    return observed(transports=[Connected("projects/p/subscriptions/a")])


async def test_a_run_that_works_is_alive_and_ready_and_shows_its_metrics() -> None:
    async with served(ready_run()) as client:
        alive, ready, metrics = [await client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert "# HELP millrace_ingest_landed_rows_total Rows whose append was confirmed." in metrics.text
        opened = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert opened.text.endswith("# EOF\n")
        assert (await client.post("/healthz")).status_code == 405
        assert (await client.get("/push")).status_code == 404


async def test_a_run_that_drains_is_alive_and_not_ready() -> None:
    async with served(replace(ready_run(), is_draining=lambda: True)) as client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert "draining" in answer.json()["faults"][0]


def test_every_fault_is_told() -> None:
    run = observed(is_draining=lambda: True)
    run.measures.append_failed("unavailable", is_outage=True)
    since = run.measures.append_failing_since or 0.0
    told = "\n".join(faults(run, now=lambda: since + 9))
    assert "draining" in told
    assert "not connected: b" in told
    assert "for 9 s" in told


def test_an_append_that_is_tried_again_is_no_outage_yet() -> None:
    run = ready_run()
    run.measures.append_failed("unavailable", is_outage=True)
    since = run.measures.append_failing_since or 0.0
    assert faults(run, now=lambda: since + 4) == []


async def test_a_sink_without_a_connection_is_a_fault() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        assert "Storage Write" in faults(ready_run(), channel)[0]


@pytest.mark.parametrize(
    ("settings", "environ", "port", "expected"),
    [
        ({}, {}, None, None),
        ({}, {"PORT": "8080"}, None, None),  # PORT is Cloud Run's only on Cloud Run
        ({}, {}, 8000, Address("127.0.0.1", 8000)),
        ({"port": 0}, {}, None, Address("127.0.0.1", 0)),
        ({"port": 9000}, {}, 8000, Address("127.0.0.1", 8000)),
        ({"port": 9000, "host": "::1"}, {}, None, Address("::1", 9000)),
        ({}, {"K_SERVICE": "ingest", "PORT": "8080"}, None, Address("0.0.0.0", 8080)),  # noqa: S104
        ({"host": "10.0.0.1"}, {"K_SERVICE": "ingest", "PORT": "8080"}, None, Address("10.0.0.1", 8080)),
        ({"port": 9000}, {"K_SERVICE": "ingest", "PORT": "8080"}, None, Address("0.0.0.0", 9000)),  # noqa: S104
        ({}, {"K_SERVICE": "ingest"}, None, None),
    ],
)
def test_where_it_listens(
    settings: dict[str, object], environ: dict[str, str], port: int | None, expected: Address | None
) -> None:
    assert http_address(HttpSettings.model_validate(settings), environ, port) == expected


@pytest.mark.parametrize("port", ["http", "-1", "65536", "8080;"])
def test_a_port_of_cloud_run_that_is_none_is_told(port: str) -> None:
    with pytest.raises(ConfigurationError, match="PORT"):
        http_address(HttpSettings(), {"K_SERVICE": "ingest", "PORT": port})


def test_a_port_that_is_taken_is_told_with_the_fix() -> None:
    with bind(Address("127.0.0.1", 0)) as taken:
        taken.listen()
        with pytest.raises(ConfigurationError, match="choose another --http-port"):
            bind(Address("127.0.0.1", taken.getsockname()[1]))


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_INGEST_HTTP_PORT", "65536")
    monkeypatch.setenv("MILLRACE_INGEST_HTTP_HOST", "everywhere")
    with pytest.raises(ConfigurationError, match=r"(?s)HTTP_HOST.*HTTP_PORT"):
        load_http_settings()
