"""Asking the API: with retries, within its limits, and never for what it has just told."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeVar

import cachetools
import httpx
import msgspec

from core.clock import Clock, utc_now
from core.errors import ConfigurationError, MillraceError
from core.retry import is_retryable, retrying_async
from ingest.decode.notification import Notification
from ingest.fetch.body import read_body
from ingest.fetch.breaker import CircuitBreaker, CircuitState
from ingest.fetch.entity import Entity, EntitySet, read_found, read_gone, read_items, read_page
from ingest.fetch.errors import CircuitOpenError, EntityError, FetchError, ServiceDownError, ThrottledError, described
from ingest.fetch.gate import HostGate, retry_after_s
from ingest.fetch.paths import entity_path, next_page
from ingest.progress import Progress
from ingest.settings import IngestSettings

_T = TypeVar("_T")
_SERVICE_IS_DOWN: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_ENTRY_OVERHEAD: Final = 512


class _Kept(msgspec.Struct, frozen=True):
    """An answer that may be asked for again by its ETag (RFC 9110, section 13.1.2)."""

    etag: str
    entity: Entity


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL


class Fetcher:
    """Asks one host of the API for rows and sets of rows."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: IngestSettings,
        clock: Clock = utc_now,
        progress: Progress | None = None,
    ) -> None:
        """Prepare to ask.

        Args:
            client: an open client, as `api_client` yields it.
            settings: concurrency, patience, bounds.
            clock: the present instant.
            progress: where answers and the breaker's state are counted; None for nowhere.
        """
        self._client = client
        self._settings = settings
        self._clock = clock
        self._progress = progress or Progress("")
        self._answered = 0
        self._breaker = CircuitBreaker(
            settings.fetch_breaker_failures, settings.fetch_breaker_open_s, on_change=self._on_circuit
        )
        self._gate = HostGate(settings.fetch_concurrency, self._breaker, settings.retry_longest_wait_s)
        self._kept: cachetools.LRUCache[str, _Kept] = cachetools.LRUCache(settings.fetch_cache_bytes, _weight)

    @property
    def answered(self) -> int:
        """How many rows or sets the API has given a usable answer for: a sign of life."""
        return self._answered

    @property
    def circuit(self) -> CircuitState:
        """Whether the API is asked at all."""
        return self._breaker.state

    async def fetch(self, notification: Notification) -> Entity:
        """Return a row's present state.

        Args:
            notification: the newest notification of the row.

        Returns:
            The state, no older than the notification.

        Raises:
            FetchError: when the answer for this row can never be used.
            EntityError: when the API kept failing on this row.
            ThrottledError: when the API kept asking to slow down.
            CircuitOpenError: when the API is down and was not asked.
            ServiceDownError: when the API did not answer.
            ConfigurationError: when the API refuses the token, or may not be reached.
        """
        return await self._retry(self._fetch_once, notification)

    async def fetch_set(self, notification: Notification) -> EntitySet:
        """Return a set of rows, complete.

        Args:
            notification: the newest notification of the set.

        Returns:
            The set, no older than the notification.

        Raises:
            MillraceError: as `fetch`; `EntityError` also when pages are missing.
        """
        return await self._retry(self._fetch_set_once, notification)

    async def _retry(self, fetch: Callable[[Notification], Awaitable[_T]], notification: Notification) -> _T:
        policy = self._settings.retry_policy(self._settings.fetch_attempts)
        retrying = retrying_async(policy, f"fetch {notification.contract.name}", _is_worth_another_try)
        found: _T = await retrying(fetch, notification)
        self._answered += 1
        return found

    async def _fetch_once(self, notification: Notification) -> Entity:
        path = entity_path(notification.contract, notification)
        kept = self._kept.get(path)
        answer = await self._get(path, {} if kept is None else {"If-None-Match": kept.etag})
        if answer.status == HTTPStatus.NOT_MODIFIED and kept is not None:
            self._progress.not_modified += 1
            entity = kept.entity
        elif answer.status == HTTPStatus.OK:
            entity = read_found(answer.body, notification)
            self._keep(path, answer.headers.get("ETag"), entity)
        elif answer.status in _GONE:
            entity = read_gone(answer.body, notification)
        else:
            raise self._failure(answer)
        if entity.version < notification.version:
            # A replica that lags behind the notification; landing it would lose the change. The next request
            # must bring the row itself: its ETag may not change with its version.
            self._kept.pop(path, None)
            raise EntityError(f"the API's row is of version {entity.version}, older than {notification.version}")
        return entity

    async def _fetch_set_once(self, notification: Notification) -> EntitySet:
        target: str | httpx.URL = entity_path(notification.contract, notification)
        rows: dict[bytes, Entity] = {}
        version: int | None = None
        for _ in range(self._settings.fetch_set_pages):
            answer = await self._get(target, {})
            if answer.status in _GONE and version is None:
                return EntitySet({}, _checked(read_gone(answer.body, notification).version, notification))
            if answer.status != HTTPStatus.OK:
                raise self._failure(answer)
            page = read_page(answer.body)
            if version is None:
                # Later pages may know of later changes; only what the first one knows is sure to be complete.
                version = _checked(page.version, notification)
            items = read_items(page, notification)
            if not items.keys().isdisjoint(rows):
                raise EntityError("a row is on two pages of the set")
            rows |= items
            if len(rows) > self._settings.fetch_set_rows:
                raise FetchError("fetch_too_large", f"the set has over {self._settings.fetch_set_rows} rows")
            if page.next is None:
                if len(rows) != page.total:
                    raise EntityError(f"the set is incomplete: {len(rows)} of {page.total} rows")
                return EntitySet(rows, version)
            target = next_page(answer.url, page.next)
        raise FetchError("fetch_too_large", f"the set has over {self._settings.fetch_set_pages} pages")

    async def _get(self, target: str | httpx.URL, headers: dict[str, str]) -> _Answer:
        async with self._gate.request():
            answer = await self._request(target, headers)
            if answer.status in _SERVICE_IS_DOWN:
                # Raised within the gate, which counts it.
                raise self._failure(answer)
            return answer

    async def _request(self, target: str | httpx.URL, headers: dict[str, str]) -> _Answer:
        try:
            # The client's own timeout begins anew with every byte.
            async with (
                asyncio.timeout(self._settings.fetch_timeout_s),
                self._client.stream("GET", target, headers=headers) as response,
            ):
                body = await read_body(response, self._settings.fetch_max_bytes)
        except httpx.InvalidURL as error:
            raise FetchError("fetch_refused", f"the key makes no valid path: {error}") from error
        except TimeoutError as error:
            raise ServiceDownError(f"the API did not answer within {self._settings.fetch_timeout_s} s") from error
        except httpx.HTTPError as error:
            raise ServiceDownError(f"the API did not answer: {described(error)}") from error
        return _Answer(response.status_code, response.headers, body, response.url)

    def _failure(self, answer: _Answer) -> MillraceError:
        status = answer.status
        told = f"the API answered {status}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ConfigurationError(f"{told}: set MILLRACE_API_TOKEN to a token that may read every table")
        wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock())
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._gate.pause(wait_s)
            return ThrottledError(told, wait_s)
        if status in _SERVICE_IS_DOWN:
            return ServiceDownError(told, wait_s)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return EntityError(told, wait_s)
        return FetchError("fetch_refused", told)

    def _keep(self, path: str, etag: str | None, entity: Entity) -> None:
        kept = _Kept(etag or "", entity)
        # RFC 9110 lets an ETag hold bytes beyond ASCII, which the client will not send back.
        if etag and etag.isascii() and _weight(kept) <= self._kept.maxsize:
            self._kept[path] = kept
        else:
            self._kept.pop(path, None)

    def _on_circuit(self, state: CircuitState) -> None:
        self._progress.circuit = state
        self._progress.circuit_opened += state == "open"


def _is_worth_another_try(error: BaseException) -> bool:
    # While the circuit is open, every attempt would end like this one.
    return is_retryable(error) and not isinstance(error, CircuitOpenError)


def _checked(version: int, notification: Notification) -> int:
    if version < notification.version:
        raise EntityError(f"the API's set is of version {version}, older than {notification.version}")
    return version


def _weight(kept: _Kept) -> int:
    return len(kept.entity.payload or b"") + len(kept.etag) + _ENTRY_OVERHEAD
