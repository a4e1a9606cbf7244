"""The member API over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.contracts import Contracts, load_contracts
from devstack.member_api.__main__ import main
from devstack.member_api.app import ApiOptions, create_app
from devstack.member_api.faults import FaultPlan
from devstack.member_api.rate_limit import TokenBucket
from devstack.member_api.server import running_member_api
from devstack.member_api.store import StoredRow, StoreReader, canonical_key, write_store
from devstack.world import Shares, World
from devstack.world.api_rows import store_changes

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-for-tests"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
CHANGED_AT = "2026-01-02T03:04:05.678901Z"


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_contracts(ROOT / "dbt_project/models/raw")


def _rows(contracts: Contracts) -> list[StoredRow]:
    def row(table: str, key: tuple[int | str, ...], version: int, data: str | None) -> StoredRow:
        return StoredRow(table, canonical_key(contracts[table], key), version, data, CHANGED_AT)

    return [
        row("members", (7,), 1_240, '{"member_id":7,"last_name":"Ünal \\u0000"}'),
        row("members", (8,), 1_300, None),
        row("member_interactions", (2**53 + 1,), 5, '{"interaction_id":9007199254740993}'),
        row("member_preferences", (7, "email", "offers"), 6, '{"member_id":7}'),
    ]


@pytest.fixture
def store(contracts: Contracts, tmp_path: Path) -> Iterator[StoreReader]:
    path = tmp_path / "store.sqlite"
    write_store(path, _rows(contracts))
    reader = StoreReader(path)
    yield reader
    reader.close()


@pytest.fixture
def api(contracts: Contracts, store: StoreReader) -> Iterator[httpx.Client]:
    app = create_app(ApiOptions(store, TOKEN, contracts))
    with running_member_api(app) as url, httpx.Client(base_url=url, headers=AUTHORISED) as client:
        yield client


def test_a_row_comes_with_its_version_as_stored(api: httpx.Client) -> None:
    answer = api.get("/v1/members/7")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    data = '{"member_id":7,"last_name":"Ünal \\u0000"}'
    assert answer.text == f'{{"data":{data},"version":1240,"updated_at":"{CHANGED_AT}"}}'


def test_keys_may_be_large_or_of_several_parts(api: httpx.Client) -> None:
    assert api.get(f"/v1/member-interactions/{2**53 + 1}").json()["version"] == 5
    assert api.get("/v1/member-preferences/7/email/offers").json()["version"] == 6


def test_gone_and_never_there_are_told_apart(api: httpx.Client) -> None:
    gone = api.get("/v1/members/8")
    assert gone.status_code == 410
    assert gone.json() == {"version": 1_300, "deleted_at": CHANGED_AT}
    assert api.get("/v1/members/9").status_code == 404
    assert api.get(f"/v1/members/{2**63 - 2}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v1/members/x", "/v1/members/-7", "/v1/members/7%2F..", "/v1/no-such-table/1", "/v1/members/"]
)
def test_what_is_no_key_is_not_found(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": f"Bearer {TOKEN}x"}],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/members/7"), ("GET", "/v1/members/9"), ("PUT", "/admin/faults")]
)
def test_without_the_token_nothing_is_told(api: httpx.Client, headers: dict[str, str], method: str, path: str) -> None:
    answer = httpx.request(method, f"{api.base_url}{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


def test_a_row_that_did_not_change_is_not_sent_again(
    api: httpx.Client, store: StoreReader, contracts: Contracts
) -> None:
    etag = api.get("/v1/members/7").headers["etag"]
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = api.get("/v1/members/7", headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert api.get("/v1/members/7", headers={"If-None-Match": '"other"'}).status_code == 200
    key = canonical_key(contracts["members"], (7,))
    write_store(store.path, [StoredRow("members", key, 1_500, '{"member_id":7}', CHANGED_AT)])
    assert api.get("/v1/members/7", headers={"If-None-Match": etag}).json()["version"] == 1_500


def test_health_needs_no_token_and_the_docs_name_every_table(api: httpx.Client, contracts: Contracts) -> None:
    assert httpx.get(f"{api.base_url}/healthz").json() == {"status": "ok"}
    document = httpx.get(f"{api.base_url}/openapi.json").json()
    documented = {path for path in document["paths"] if path.startswith("/v1/")}
    rows = {contract.api_path for contract in contracts.values()}
    sets = {contract.api_set_path for contract in contracts.values() if contract.api_set_path}
    assert documented == rows | sets
    assert sets == {f"/v1/members/{{member_id}}/{name}" for name in ("addresses", "consents", "emails", "phones")}
    operation = document["paths"]["/v1/member-preferences/{member_id}/{channel}/{topic}"]["get"]
    assert {p["name"]: p["schema"]["type"] for p in operation["parameters"]} == {
        "member_id": "integer",
        "channel": "string",
        "topic": "string",
    }
    assert {"200", "304", "401", "404", "410", "429"} <= set(operation["responses"])
    assert operation["security"] == [{"HTTPBearer": []}]
    assert httpx.get(f"{api.base_url}/docs").status_code == 200


def _email(contracts: Contracts, email_id: int, member_id: int, version: int, *, is_gone: bool = False) -> StoredRow:
    data = None if is_gone else json.dumps({"email_id": email_id, "member_id": member_id})
    return StoredRow("member_emails", canonical_key(contracts["member_emails"], (email_id,)), version, data, CHANGED_AT)


def test_all_rows_of_a_member_come_page_by_page(contracts: Contracts, tmp_path: Path) -> None:
    path = tmp_path / "sets.sqlite"
    mine = [_email(contracts, number, 7, number) for number in range(1, 8)]
    write_store(
        path, [*mine, _email(contracts, 50, 8, 90), _email(contracts, 9, 7, 91, is_gone=True), *_rows(contracts)]
    )
    reader = StoreReader(path)
    app = create_app(ApiOptions(reader, TOKEN, contracts, page_rows=3))
    with running_member_api(app) as url, httpx.Client(base_url=url, headers=AUTHORISED) as client:
        link, pages = "", []
        while link is not None:
            assert len(pages) < 10
            pages.append(client.get(f"/v1/members/7/emails{link}").json())
            link = pages[-1]["next"]
        assert [len(page["items"]) for page in pages] == [3, 3, 1]
        assert {(page["total"], page["version"]) for page in pages} == {(7, 1_300)}
        found = [item["data"]["email_id"] for page in pages for item in page["items"]]
        assert sorted(found) == list(range(1, 8))
        assert pages[0]["items"][0]["version"] == found[0]
        assert pages[0]["items"][0]["updated_at"] == CHANGED_AT
        nobody = client.get("/v1/members/12345/emails").json()
        assert (nobody["items"], nobody["total"], nobody["next"]) == ([], 0, None)
        assert httpx.get(f"{url}/v1/members/7/emails").status_code == 401
        assert client.get("/v1/members/x/emails").status_code == 404
    reader.close()


def test_the_world_as_the_api_tells_it(contracts: Contracts, tmp_path: Path) -> None:
    world = World(3, 15, contracts, shares=Shares(api_members=1))
    path = tmp_path / "world.sqlite"
    seen: set[int] = set()
    for number in range(2):
        world.evolve(150)
        store_changes(path, contracts, world.notified_changes())
        if number == 0:
            reader = StoreReader(path)
            app = create_app(ApiOptions(reader, TOKEN, contracts))
        with running_member_api(app) as url, httpx.Client(base_url=url, headers=AUTHORISED) as client:
            truth = world.truth()
            for message in world.deliver():
                if message.kind != "notification":
                    continue
                note = json.loads(message.data)
                answer = client.get((contracts[note["table"]].api_path or "").format(**note["key"]))
                seen.add(answer.status_code)
                exists = tuple(note["key"].values()) in truth[note["table"]]
                assert (answer.status_code == 200) == exists
                if answer.status_code != 404:
                    assert answer.json()["version"] >= note["version"]
    reader.close()
    assert seen == {200, 404, 410}


def test_a_limit_answers_429_and_says_when_to_come_back(contracts: Contracts, store: StoreReader) -> None:
    clock = [0.0]
    app = create_app(ApiOptions(store, TOKEN, contracts, TokenBucket(0.5, 3, lambda: clock[0])))
    with running_member_api(app) as url, httpx.Client(base_url=url, headers=AUTHORISED) as client:
        assert [client.get("/v1/members/7").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        wait_s = int(client.get("/v1/members/7").headers["retry-after"])
        assert wait_s == 2
        clock[0] += wait_s
        assert client.get("/v1/members/7").status_code == 200
        assert client.get("/healthz").status_code == 200


def _follow(api: httpx.Client, **plan: Any) -> None:
    answer = api.put("/admin/faults", json=plan)
    assert answer.status_code == 200
    assert answer.json()["shown"] == {}


def test_faults_can_be_switched_on_and_off(api: httpx.Client) -> None:
    _follow(api, error_share=1, error_status=502)
    assert api.get("/v1/members/7").status_code == 502
    assert api.get("/healthz").status_code == 200
    assert api.get("/admin/faults").json()["shown"] == {"error": 1}
    _follow(api, throttle_share=1, retry_after_s=17)
    throttled = api.get("/v1/members/7")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "17")
    assert api.delete("/admin/faults").json()["plan"]["throttle_share"] == 0
    assert api.get("/v1/members/7").status_code == 200


def test_a_dropped_connection_ends_in_the_middle(api: httpx.Client) -> None:
    _follow(api, drop_share=1)
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/v1/members/7")
    api.delete("/admin/faults")
    assert api.get("/v1/members/7").status_code == 200


def test_a_malformed_answer_looks_good_until_it_is_parsed(api: httpx.Client) -> None:
    _follow(api, malformed_share=1)
    answer = api.get("/v1/members/7")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(answer.content)


def test_latency_and_slow_bodies_take_their_time(api: httpx.Client) -> None:
    whole = api.get("/v1/members/7").content
    _follow(api, latency_ms=120)
    started = time.monotonic()
    assert api.get("/v1/members/7").content == whole
    assert time.monotonic() - started >= 0.12
    _follow(api, slow_body_share=1, slow_body_s=0.2)
    started = time.monotonic()
    with api.stream("GET", "/v1/members/7") as answer:
        pieces = list(answer.iter_raw())
    assert time.monotonic() - started >= 0.2
    assert len(pieces) > 1
    assert b"".join(pieces) == whole
    assert api.get("/v1/members/8").status_code == 410


def test_an_impossible_plan_is_refused_and_the_old_one_stays(api: httpx.Client) -> None:
    _follow(api, error_share=1)
    assert api.put("/admin/faults", json={"error_share": 2}).status_code == 422
    assert api.get("/admin/faults").json()["plan"]["error_share"] == 1


def test_faults_may_be_there_from_the_start(contracts: Contracts, store: StoreReader) -> None:
    app = create_app(ApiOptions(store, TOKEN, contracts, faults=FaultPlan(error_share=1)))
    with running_member_api(app) as url:
        assert httpx.get(f"{url}/v1/members/7", headers=AUTHORISED).status_code == 503


def _command(tmp_path: Path, *arguments: str) -> list[str]:
    store = str(tmp_path / "store.sqlite")
    return [sys.executable, "-m", "devstack.member_api", "--store", store, "--port", "0", *arguments]


def test_the_command_serves_publishes_its_port_and_stops_cleanly(contracts: Contracts, tmp_path: Path) -> None:
    write_store(tmp_path / "store.sqlite", _rows(contracts))
    faults = tmp_path / "faults.json"
    faults.write_text('{"error_share": 0}')
    port_file = tmp_path / "port.json"
    command = _command(tmp_path, "--port-file", str(port_file), "--faults", str(faults), "--rate-limit", "1000")
    environment = {**os.environ, "MILLRACE_API_TOKEN": TOKEN}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert child.poll() is None, child.stderr and child.stderr.read()
            assert time.monotonic() < deadline, "the API did not start in time"
            time.sleep(0.02)
        url = f"http://127.0.0.1:{json.loads(port_file.read_text())['port']}"
        assert httpx.get(f"{url}/v1/members/7", headers=AUTHORISED, timeout=30).status_code == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        assert child.stderr is not None
        assert TOKEN.encode() not in child.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--token-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (("--store", "missing.sqlite"), "no such store"),
        (("--host", "192.0.2.1"), "not a loopback address"),
        (("--rate-limit", "-1"), "must not be negative"),
        (("--faults", "missing.json"), "cannot be read"),
        (("--faults", "pyproject.toml"), "not a plan of faults"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    write_store(tmp_path / "store.sqlite", [])
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MILLRACE_API_TOKEN", TOKEN)
    assert main(_command(tmp_path, *arguments)[3:]) == 1
    assert words in capsys.readouterr().err


def test_wrong_usage_exits_with_2() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--no-such-option"])
    assert stopped.value.code == 2
