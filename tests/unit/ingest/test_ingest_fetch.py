"""The fetcher against a real HTTP server whose answers are scripted."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from fetch_api import CONTRACTS, MESSAGE, Answer, Api, fetching, in_turn, scripted
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError, DecodeError, MillraceError, UnavailableError
from core.settings import Settings
from ingest.decode.notification import Notification
from ingest.fetch import (
    EntityError,
    Fetcher,
    FetchError,
    ServiceDownError,
    ThrottledError,
    api_client,
    entity_path,
    retry_after_s,
)
from ingest.keys import key_encoder
from ingest.settings import IngestSettings


@asynccontextmanager
async def fetcher(url: str, **tunables: object) -> AsyncIterator[Fetcher]:
    async with fetching(url, **tunables) as (fetch, _):
        yield fetch


def notification(table: str = "member_emails", version: int = 5, **key: object) -> Notification:
    values = key or {"email_id": 7}
    contract = CONTRACTS[table]
    return Notification(MESSAGE, contract, key_encoder(contract)(values), values, version)


def row(version: int = 5, **fields: object) -> Answer:
    body = {"data": {"email_id": 7, "email": "a@b"} | fields, "version": version, "updated_at": "1970-01-01T00:00:01Z"}
    return Answer(body=json.dumps(body).encode())


async def failure(*answers: Answer, **tunables: object) -> tuple[MillraceError, Api]:
    with scripted(in_turn(*answers)) as api:
        async with fetcher(api.url, **tunables) as fetch:
            with pytest.raises(MillraceError) as caught:
                await fetch.fetch(notification())
    return caught.value, api


async def test_a_row_is_taken_word_for_word() -> None:
    text = b'{ "email_id": 7, "balance": 1.10, "note": "\xc3\xa4" }'
    answer = Answer(body=b'{"data": ' + text + b', "version": 6, "updated_at": "1970-01-01T00:00:01.5Z"}')
    with scripted(in_turn(answer)) as api:
        async with fetcher(api.url) as fetch:
            entity = await fetch.fetch(notification())
    assert (entity.payload, entity.version, entity.changed_at) == (text, 6, 1_500_000)
    assert entity.schema_fingerprint
    assert api.paths == ["/v1/member-emails/7"]
    assert api.tokens == ["Bearer canary-token"]


@pytest.mark.parametrize(
    ("answer", "version", "changed_at"),
    [
        (Answer(404), 5, None),
        (Answer(404, b"<html>no JSON</html>"), 5, None),
        (Answer(410, b'{"version": 9, "deleted_at": "1970-01-01T00:00:02Z"}'), 9, 2_000_000),
    ],
)
async def test_a_row_that_is_gone_is_a_deletion(answer: Answer, version: int, changed_at: int | None) -> None:
    with scripted(in_turn(answer)) as api:
        async with fetcher(api.url) as fetch:
            entity = await fetch.fetch(notification())
    assert (entity.payload, entity.version, entity.changed_at) == (None, version, changed_at)
    assert entity.key == b'{"email_id":7}'


@pytest.mark.parametrize(
    "first",
    [
        Answer(500),
        Answer(503, headers={"Retry-After": "0"}),
        Answer(429, headers={"Retry-After": "0"}),
        Answer(429),
        row(version=4),
        Answer(200, b'{"data":{"email_id":7'),
        Answer(200, b'{"data":', announced=1_000),
    ],
    ids=["error", "unavailable", "throttled", "throttled-silently", "stale", "malformed", "dropped"],
)
async def test_a_passing_fault_is_tried_again(first: Answer) -> None:
    with scripted(in_turn(first, row())) as api:
        async with fetcher(api.url) as fetch:
            assert (await fetch.fetch(notification())).version == 5
            assert fetch.answered == 1
    assert len(api.paths) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(500), EntityError),
        (row(version=4), EntityError),
        (Answer(429), ThrottledError),
        (Answer(503), ServiceDownError),
    ],
)
async def test_a_lasting_fault_is_told_after_the_last_attempt(answer: Answer, expected: type[Exception]) -> None:
    error, api = await failure(answer)
    assert type(error) is expected
    assert len(api.paths) == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400), "fetch_refused"),
        (Answer(301, headers={"Location": "http://169.254.169.254/"}), "fetch_refused"),
        (row(email_id=8), "invalid_response"),
        (Answer(200, b"[]"), "invalid_response"),
        (Answer(200, b'{"data":{"email_id":7},"version":-1}'), "invalid_response"),
        (Answer(200, b'{"data":{"email_id":7,"points":1e999},"version":9}'), "number_out_of_range"),
        (row(note="x" * 2_000), "fetch_too_large"),
    ],
)
async def test_an_answer_that_never_helps_is_not_asked_for_twice(answer: Answer, reason: str) -> None:
    error, api = await failure(answer, fetch_max_bytes=1_000)
    assert isinstance(error, DecodeError)
    assert error.reason == reason
    assert len(api.paths) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_stops_the_run_without_telling_it(status: int) -> None:
    error, _ = await failure(Answer(status))
    assert isinstance(error, ConfigurationError)
    assert "MILLRACE_API_TOKEN" in str(error)
    assert "canary-token" not in str(error)


async def test_nobody_listening_is_unavailable() -> None:
    with scripted(in_turn(Answer())) as api:
        url = api.url
    async with fetcher(url) as fetch:
        with pytest.raises(UnavailableError, match="did not answer"):
            await fetch.fetch(notification())


async def test_all_requests_wait_when_one_is_told_to() -> None:
    with scripted(in_turn(Answer(429, headers={"Retry-After": "1"}), row())) as api:
        async with fetcher(api.url, retry_longest_wait_s=0.3, fetch_attempts=1) as fetch:
            with pytest.raises(ThrottledError):
                await fetch.fetch(notification())
            told = asyncio.get_running_loop().time()
            await fetch.fetch(notification())
            assert asyncio.get_running_loop().time() - told > 0.25


@given(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1)] * 2))
def test_no_key_value_leaves_its_segment(values: tuple[str, str]) -> None:
    channel, topic = values
    asked = notification("member_preferences", member_id=1, channel=channel, topic=topic)
    if {channel, topic} & {".", ".."}:
        with pytest.raises(FetchError):
            entity_path(asked.contract, asked)
    else:
        path = entity_path(asked.contract, asked)
        assert path.count("/") == 5
        assert path.startswith("/v1/member-preferences/1/")
        assert path.isascii()
        assert not set(path) & set("?#\\ %") - {"%"}


@pytest.mark.parametrize("value", ["a/b", "..%2f..", "ü?x#y", "a b+c;d", "%", "\\"])
async def test_what_stands_in_a_key_arrives_as_one_segment(value: str) -> None:
    asked = notification("member_preferences", member_id=1, channel="email", topic=value)
    with scripted(in_turn(Answer(404))) as api:
        async with fetcher(api.url) as fetch:
            await fetch.fetch(asked)
    [path] = api.paths
    prefix = "/v1/member-preferences/1/email/"
    assert path.startswith(prefix)
    assert "/" not in path.removeprefix(prefix)
    assert unquote(path.removeprefix(prefix)) == value


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert retry_after_s("120", now) == 120
    assert retry_after_s("Fri, 02 Jan 2026 03:04:35 GMT", now) == 30
    assert retry_after_s("Fri, 02 Jan 2026 03:00:00 GMT", now) == 0
    assert retry_after_s("soon", now) is None
    assert retry_after_s(None, now) is None


async def test_only_a_laptop_may_do_without_https() -> None:
    settings = Settings(environment="production", api_base_url="http://api.example")
    with pytest.raises(ConfigurationError, match="https"):
        async with api_client(settings, IngestSettings()):
            pass
    with pytest.raises(ConfigurationError, match="MILLRACE_API_BASE_URL"):
        async with api_client(Settings(), IngestSettings()):
            pass
