"""What the fetcher spares the API, and what it does not let the API do: circuit, ETags, sizes, sets."""

import asyncio
import gzip
import itertools
import json
import logging
import zlib
from typing import Any

import pytest
import structlog
from fetch_api import (
    TOKEN,
    Answer,
    Request,
    fetching,
    in_turn,
    item,
    page,
    row_answer,
    row_notification,
    scripted,
    set_notification,
)
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError, MillraceError
from ingest.fetch import (
    CircuitBreaker,
    CircuitOpenError,
    EntityError,
    FetchError,
    ServiceDownError,
    ThrottledError,
)

DOWN = Answer(503)


# The circuit


async def test_a_host_that_is_down_is_left_alone_then_tried_once() -> None:
    with scripted(in_turn(*[DOWN] * 5, row_answer())) as api:
        async with fetching(api.url, fetch_attempts=1, fetch_breaker_failures=3, fetch_breaker_open_s=0.05) as (
            fetcher,
            progress,
        ):
            for _ in range(3):
                with pytest.raises(ServiceDownError):
                    await fetcher.fetch(row_notification())
            assert (fetcher.circuit, progress.circuit, progress.circuit_opened) == ("open", "open", 1)
            refused = await asyncio.gather(
                *(fetcher.fetch(row_notification()) for _ in range(20)), return_exceptions=True
            )
            assert {type(error) for error in refused} == {CircuitOpenError}
            assert len(api.requests) == 3
            while fetcher.circuit != "closed":
                outcomes = await asyncio.gather(
                    *(fetcher.fetch(row_notification()) for _ in range(20)), return_exceptions=True
                )
                asked = [one for one in outcomes if not isinstance(one, CircuitOpenError)]
                assert len(asked) <= 1
                await asyncio.sleep(0.01)
            assert len(api.requests) == 6
            assert progress.circuit == "closed"
            assert progress.circuit_opened == 3


async def test_an_open_circuit_is_not_tried_again_and_again() -> None:
    with scripted(in_turn(DOWN)) as api:
        async with fetching(api.url, fetch_attempts=50, fetch_breaker_failures=4) as (fetcher, _):
            with pytest.raises(CircuitOpenError) as caught:
                await fetcher.fetch(row_notification())
    assert len(api.requests) == 4
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 5


@pytest.mark.parametrize("answer", [Answer(500), Answer(429), Answer(400), Answer(404), row_answer(version=1)])
async def test_what_the_api_answers_is_no_failure_of_the_host(answer: Answer) -> None:
    with scripted(in_turn(answer)) as api:
        async with fetching(api.url, fetch_attempts=1, fetch_breaker_failures=2) as (fetcher, _):
            await asyncio.gather(*(fetcher.fetch(row_notification()) for _ in range(5)), return_exceptions=True)
            assert fetcher.circuit == "closed"
    assert len(api.requests) == 5


def end(event: str) -> None:
    if event == "down":
        raise ServiceDownError("down")
    if event == "refused":
        raise FetchError("fetch_refused", "an answer, of a kind")
    if event == "cancel":
        raise asyncio.CancelledError
    if event == "bug":
        raise ZeroDivisionError


@given(st.lists(st.sampled_from(["ok", "refused", "down", "cancel", "bug", "tick"]), max_size=60), st.integers(1, 4))
def test_the_breaker_is_the_textbook_state_machine(events: list[str], limit: int) -> None:
    clock = [0.0]
    states: list[str] = []
    breaker = CircuitBreaker(limit, 10, lambda: clock[0], states.append)
    # The oracle: how many failures in a row while closed, and since when it is open.
    failures, opened_at = 0, None
    for event in events:
        if event == "tick":
            clock[0] += 4
            continue
        is_trial = opened_at is not None and clock[0] >= opened_at + 10
        try:
            with breaker.guard():
                assert opened_at is None or is_trial
                end(event)
        except CircuitOpenError:
            assert opened_at is not None
            assert not is_trial
            continue
        except (ServiceDownError, FetchError, ZeroDivisionError, asyncio.CancelledError):
            pass
        if event in ("ok", "refused"):
            failures, opened_at = 0, None
        elif event == "down":
            failures += 1
            if is_trial or failures >= limit:
                failures, opened_at = 0, clock[0]
        assert breaker.state == ("closed" if opened_at is None else "open")
    assert all(one != other for one, other in itertools.pairwise(states))


# Patience


async def test_a_hostile_retry_after_parks_nobody_for_hours() -> None:
    with scripted(in_turn(Answer(429, headers={"Retry-After": "86400"}), row_answer())) as api:
        async with fetching(api.url, retry_longest_wait_s=0.05) as (fetcher, _):
            async with asyncio.timeout(5):
                await fetcher.fetch(row_notification())
    assert len(api.requests) == 2


async def test_retry_after_may_be_a_date() -> None:
    with scripted(in_turn(Answer(429, headers={"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}))) as api:
        async with fetching(api.url, fetch_attempts=1) as (fetcher, _):
            with pytest.raises(ThrottledError) as caught:
                await fetcher.fetch(row_notification())
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 1e9


async def test_an_answer_that_drips_is_given_up_in_time() -> None:
    release = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not release.is_set() and not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with fetching(url, fetch_attempts=1, fetch_timeout_s=0.2) as (fetcher, _):
        with pytest.raises(ServiceDownError, match=r"within 0\.2 s"):
            await fetcher.fetch(row_notification())
    release.set()
    server.close()


# What is kept


async def test_a_row_that_did_not_change_is_not_sent_again() -> None:
    def script(request: Request) -> Answer:
        if request.headers.get("if-none-match") == '"a"':
            return Answer(304, headers={"ETag": '"a"'})
        return row_answer(etag='"a"', note="x")

    with scripted(script) as api:
        async with fetching(api.url) as (fetcher, progress):
            first = await fetcher.fetch(row_notification())
            second = await fetcher.fetch(row_notification())
    assert first == second
    assert progress.not_modified == 1
    assert [one.headers.get("if-none-match") for one in api.requests] == [None, '"a"']


async def test_an_etag_that_does_not_change_with_the_version_is_not_trusted_twice() -> None:
    """A 304 for a row of which a newer version was told: the next request must ask for the row itself."""
    version = [5]

    def script(request: Request) -> Answer:
        if request.headers.get("if-none-match"):
            return Answer(304)
        return row_answer(version=version[0], etag='"same"')

    with scripted(script) as api:
        async with fetching(api.url) as (fetcher, _):
            assert (await fetcher.fetch(row_notification(5))).version == 5
            version[0] = 6
            assert (await fetcher.fetch(row_notification(6))).version == 6
    assert [one.headers.get("if-none-match") for one in api.requests] == [None, '"same"', None]


@pytest.mark.parametrize(("cache_bytes", "conditional"), [(0, 0), (600, 0), (1_300, 1), (100_000, 2)])
async def test_the_memory_for_answers_is_bounded(cache_bytes: int, conditional: int) -> None:
    answers = {7: row_answer(etag='"7"', pad="x" * 300), 8: row_answer(etag='"8"', pad="x" * 300, email_id=8)}

    def script(request: Request) -> Answer:
        return answers[int(request.path.rpartition("/")[2])]

    with scripted(script) as api:
        async with fetching(api.url, fetch_cache_bytes=cache_bytes) as (fetcher, _):
            for email_id in (7, 8, 8, 7):
                await fetcher.fetch(row_notification(email_id=email_id))
    assert sum("if-none-match" in one.headers for one in api.requests) == conditional


async def test_an_unasked_304_is_refused() -> None:
    with scripted(in_turn(Answer(304))) as api:
        async with fetching(api.url) as (fetcher, _):
            with pytest.raises(FetchError):
                await fetcher.fetch(row_notification())


# Sizes


async def test_a_compressed_answer_is_read() -> None:
    answer = row_answer(note="ä" * 10_000)
    packed = Answer(body=gzip.compress(answer.body), headers={"Content-Encoding": "gzip"})
    with scripted(in_turn(packed)) as api:
        async with fetching(api.url) as (fetcher, _):
            entity = await fetcher.fetch(row_notification())
    assert entity.payload is not None
    assert json.loads(entity.payload)["note"] == "ä" * 10_000
    assert api.requests[0].headers["accept-encoding"] == "gzip"


async def test_a_bomb_is_not_inflated() -> None:
    """50 MB of blanks in 50 kB; what is taken in stays near the limit, whatever the bomb holds."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(b" " * 1_000_000) for _ in range(50)), packer.flush()])
    assert len(bomb) < 60_000
    taken: list[int] = []
    inflate = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._inner = inflate(wbits=wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            out = self._inner.decompress(data, limit)
            taken.append(len(out))
            return out

        @property
        def eof(self) -> bool:
            return self._inner.eof

    with (
        pytest.MonkeyPatch.context() as patch,
        scripted(in_turn(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))) as api,
    ):
        patch.setattr(zlib, "decompressobj", Counting)
        async with fetching(api.url, fetch_max_bytes=60_000) as (fetcher, _):
            with pytest.raises(FetchError) as caught:
                await fetcher.fetch(row_notification())
    assert caught.value.reason == "fetch_too_large"
    assert sum(taken) == 60_001
    assert len(api.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd"])
async def test_encodings_nobody_asked_for_are_refused(encoding: str) -> None:
    body = gzip.compress(gzip.compress(row_answer().body))
    with scripted(in_turn(Answer(body=body, headers={"Content-Encoding": encoding}))) as api:
        async with fetching(api.url) as (fetcher, _):
            with pytest.raises(FetchError, match="not asked for"):
                await fetcher.fetch(row_notification())


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(row_answer().body)[:-9]], ids=["no_gzip", "cut_off"])
async def test_a_damaged_answer_is_tried_again(body: bytes) -> None:
    damaged = Answer(body=body, headers={"Content-Encoding": "gzip"})
    with scripted(in_turn(damaged, row_answer())) as api:
        async with fetching(api.url) as (fetcher, _):
            await fetcher.fetch(row_notification())
    assert len(api.requests) == 2


# Sets


async def test_a_set_is_gathered_page_by_page() -> None:
    with scripted(
        in_turn(
            page(item(1), item(2, version=12), total=3, version=9, following="?after=2"),
            page(item(3), total=3, version=11),
        )
    ) as api:
        async with fetching(api.url) as (fetcher, _):
            found = await fetcher.fetch_set(set_notification())
    assert [one.path for one in api.requests] == ["/v1/members/7/emails", "/v1/members/7/emails?after=2"]
    assert sorted(found.rows) == [b'{"email_id":1}', b'{"email_id":2}', b'{"email_id":3}']
    # What later pages know more than the first one is not known of all rows.
    assert found.version == 9


@pytest.mark.parametrize("status", [404, 410])
async def test_a_set_that_is_gone_is_empty(status: int) -> None:
    with scripted(in_turn(Answer(status, b'{"version": 20}'))) as api:
        async with fetching(api.url) as (fetcher, _):
            found = await fetcher.fetch_set(set_notification())
    assert (dict(found.rows), found.version) == ({}, 20)


@pytest.mark.parametrize(
    ("answers", "expected", "words"),
    [
        ([page(item(1), total=2)], EntityError, "1 of 2 rows"),
        ([page(total=0, version=4)], EntityError, "older than 5"),
        ([page(item(1), item(1), total=2)], EntityError, "twice"),
        ([page(item(1), total=2, following="?a"), page(item(1), total=2)], EntityError, "two pages"),
        ([page(item(1), total=2, following="?a"), Answer(404)], FetchError, "404"),
        ([page(item(1, member_id=8), total=1)], FetchError, "another set"),
        ([page(item(1), total=9, following="?again")] * 2, EntityError, "two pages"),
        ([page(*(item(n) for n in range(6)), total=6)], FetchError, "over 5 rows"),
        ([page(total=0, following="?again")], FetchError, "over 4 pages"),
        ([Answer(body=b'{"items": []}')], FetchError, "not the API's answer"),
        ([Answer(body=b'{"items": [')], EntityError, "no JSON"),
    ],
)
async def test_a_set_is_complete_or_not_at_all(answers: list[Answer], expected: type[Exception], words: str) -> None:
    with scripted(in_turn(*answers)) as api:
        async with fetching(api.url, fetch_attempts=1, fetch_set_rows=5, fetch_set_pages=4) as (fetcher, _):
            with pytest.raises(expected, match=words):
                await fetcher.fetch_set(set_notification())


@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/v1/members/7/emails", "//evil.example/v1/members/7/emails",
        "https://127.0.0.1/v1/members/7/emails", "http://user@127.0.0.1/v1/members/7/emails",
        "/v1/members/8/emails", "../../admin", "/v1/members/7/emails/../../8/emails", "/v1/members/7%2F..%2F8/emails",
        "?a#fragment", "http://[::1", ":a://[", "v1://://[]",
    ],
)  # fmt: skip
async def test_a_link_to_the_next_page_leads_nowhere_else(link: str) -> None:
    with scripted(in_turn(page(item(1), total=2, following=link))) as api:
        async with fetching(api.url) as (fetcher, _):
            with pytest.raises(FetchError, match="next page"):
                await fetcher.fetch_set(set_notification())
    assert len(api.requests) == 1


# Secrets


async def test_the_token_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level, through success and every kind of failure."""
    caplog.set_level(logging.DEBUG)
    answers = [row_answer(), Answer(401), Answer(403), Answer(500), DOWN, Answer(429), Answer(302), Answer(200, b"[")]
    told: list[str] = []
    with structlog.testing.capture_logs() as events:
        for answer in answers:
            with scripted(in_turn(answer)) as api:
                async with fetching(api.url, fetch_attempts=2) as (fetcher, _):
                    try:
                        await fetcher.fetch(row_notification())
                    except MillraceError as error:
                        told.append(f"{error!r} {error.__cause__!r}")
            assert all(one.headers["authorization"] == f"Bearer {TOKEN}" for one in api.requests)
        async with fetching("http://127.0.0.1:9", fetch_attempts=2) as (fetcher, _):
            with pytest.raises(ServiceDownError) as caught:
                await fetcher.fetch(row_notification())
        told.append(f"{caught.value!r} {caught.value.__cause__!r} {fetcher!r}")
    logged = f"{caplog.text} {caplog.records!r} {events!r}"
    assert "GET" in logged
    assert events
    assert TOKEN not in logged
    assert TOKEN not in " ".join(told)


async def test_only_a_refused_token_ends_the_run() -> None:
    outcomes: dict[int, Any] = {}
    for status in (401, 403, 400, 409, 418):
        with scripted(in_turn(Answer(status))) as api:
            async with fetching(api.url) as (fetcher, _):
                with pytest.raises(MillraceError) as caught:
                    await fetcher.fetch(row_notification())
                outcomes[status] = type(caught.value)
    assert outcomes == {401: ConfigurationError, 403: ConfigurationError} | dict.fromkeys((400, 409, 418), FetchError)
