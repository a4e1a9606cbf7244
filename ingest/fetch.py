"""Fetching a row's present state from the API that its notification points to."""

import asyncio
import email.utils
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Raw

from core.clock import Clock, to_micros, utc_now
from core.contracts import TableContract
from core.errors import ConfigurationError, DecodeError, MillraceError, UnavailableError
from core.retry import retrying_async
from core.settings import Settings
from ingest.decode.notification import Notification, Version
from ingest.decode.payload import explain, fingerprint, read_row
from ingest.keys import key_encoder
from ingest.settings import IngestSettings

_SERVICE_IS_DOWN: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class FetchError(DecodeError):
    """The API's answer for this row cannot be used, now or ever; other rows are not concerned."""


class EntityError(UnavailableError):
    """The API failed on this row; it may succeed later."""


class ThrottledError(UnavailableError):
    """The API asks everybody to slow down, which is no fault of this row."""


class Entity(msgspec.Struct, frozen=True):
    """A row's state at the API.

    Attributes:
        payload: the row, exactly as the API wrote it; None when the row is gone.
        version: the row's version at that time.
        changed_at: when it was last changed or deleted, in microseconds since 1970 UTC; None when not told.
        schema_fingerprint: fingerprint of the row's field names; None when it is gone.
    """

    payload: bytes | None
    version: int
    changed_at: int | None
    schema_fingerprint: str | None


class _Found(msgspec.Struct):
    data: Raw
    version: Version
    updated_at: datetime | None = None


class _Gone(msgspec.Struct):
    version: Version | None = None
    deleted_at: datetime | None = None


_found_decoder = msgspec.json.Decoder(_Found)
_gone_decoder = msgspec.json.Decoder(_Gone)


@asynccontextmanager
async def api_client(settings: Settings, tunables: IngestSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client of the API.

    Args:
        settings: address and token.
        tunables: concurrency and timeout.

    Yields:
        A client that keeps its connections, follows no redirect and ignores the environment's proxies, so
        that nothing but the settings decides who sees the token.

    Raises:
        ConfigurationError: when the address is missing, or is not https outside `local`.
    """
    base_url = settings.api_base_url
    if base_url is None:
        raise ConfigurationError("MILLRACE_API_BASE_URL is not set; set it to the base URL of the API")
    if settings.environment != "local" and not base_url.startswith("https://"):
        raise ConfigurationError(f"MILLRACE_API_BASE_URL must be https in environment {settings.environment!r}")
    headers = {"Accept": "application/json"}
    if settings.api_token is not None:
        headers["Authorization"] = f"Bearer {settings.api_token.get_secret_value()}"
    limits = httpx.Limits(
        max_connections=tunables.fetch_concurrency, max_keepalive_connections=tunables.fetch_concurrency
    )
    async with httpx.AsyncClient(
        base_url=base_url.rstrip("/"),
        headers=headers,
        timeout=tunables.fetch_timeout_s,
        limits=limits,
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client


class Fetcher:
    """Asks the API for rows, with retries and within its limits."""

    def __init__(self, client: httpx.AsyncClient, settings: IngestSettings, clock: Clock = utc_now) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._answered = 0
        self._resume_at = 0.0
        # Held for a request only, not for the waits between two: a row that fails must not slow the others.
        self._slots = asyncio.Semaphore(settings.fetch_concurrency)

    @property
    def answered(self) -> int:
        """How many rows the API has given a usable answer for: a sign of life."""
        return self._answered

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
            UnavailableError: when the API did not answer.
            ConfigurationError: when the API refuses the token.
        """
        policy = self._settings.retry_policy(self._settings.fetch_attempts)
        entity: Entity = await retrying_async(policy, f"fetch {notification.contract.name}")(
            self._fetch_once, notification
        )
        self._answered += 1
        return entity

    async def _fetch_once(self, notification: Notification) -> Entity:
        path = entity_path(notification.contract, notification)
        await self._wait_for_turn()
        try:
            async with self._slots, self._client.stream("GET", path) as response:
                body = await self._read(response)
        except httpx.InvalidURL as error:
            raise FetchError("fetch_refused", f"the key makes no valid path: {error}") from error
        except httpx.DecodingError as error:
            raise EntityError(f"the answer cannot be decompressed: {error}") from error
        except httpx.HTTPError as error:
            raise UnavailableError(f"the API did not answer: {type(error).__name__}: {error}") from error
        return self._entity(response, body, notification)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._settings.fetch_max_bytes:
                raise FetchError("fetch_too_large", f"the answer is over {self._settings.fetch_max_bytes} bytes")
        return bytes(body)

    def _entity(self, response: httpx.Response, body: bytes, notification: Notification) -> Entity:
        status = response.status_code
        if status == HTTPStatus.OK:
            entity = _found(body, notification)
        elif status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            entity = _gone(body, notification)
        else:
            raise self._failure(response)
        if entity.version < notification.version:
            # A replica that lags behind the notification; landing it would lose the change.
            raise EntityError(f"the API's row is of version {entity.version}, older than {notification.version}")
        return entity

    def _failure(self, response: httpx.Response) -> MillraceError:
        status = response.status_code
        told = f"the API answered {status} {response.reason_phrase}".rstrip()
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ConfigurationError(f"{told}: set MILLRACE_API_TOKEN to a token that may read every table")
        wait_s = retry_after_s(response.headers.get("Retry-After"), self._clock())
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._pause(wait_s)
            return ThrottledError(told, wait_s)
        if status in _SERVICE_IS_DOWN:
            return UnavailableError(told, wait_s)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return EntityError(told, wait_s)
        return FetchError("fetch_refused", told)

    def _pause(self, wait_s: float | None) -> None:
        """Hold all requests back for as long as the API asked one of them to wait."""
        pause_s = min(wait_s or 0.0, self._settings.retry_longest_wait_s)
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + pause_s)

    async def _wait_for_turn(self) -> None:
        wait_s = self._resume_at - asyncio.get_running_loop().time()
        if wait_s > 0:
            # Spread a little, or all that waited would come back in one instant.
            await asyncio.sleep(wait_s * random.uniform(1, 1.2))  # noqa: S311


def entity_path(contract: TableContract, notification: Notification) -> str:
    """Return the path of a row at the API.

    Args:
        contract: the table; its `api_path` must not be None.
        notification: whose key to put in.

    Returns:
        The path with every key value percent-encoded as one segment (RFC 3986, section 2.1).

    Raises:
        FetchError: `fetch_refused`, when a value would name another path ("." or "..").
    """
    if contract.api_path is None:
        raise ConfigurationError(f"{contract.name} has no api_path; declare one in its contract")
    values = msgspec.json.decode(notification.key, type=dict[str, object])
    segments = {}
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if text in ("", ".", ".."):
            raise FetchError("fetch_refused", f"key column {name!r} cannot stand in a path")
        segments[name] = quote(text, safe="")
    return contract.api_path.format_map(segments)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3).

    Args:
        header: seconds or an HTTP date; None when absent.
        now: the present instant.

    Returns:
        Seconds to wait, at least 0; None when the header is absent or not valid.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        instant = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, (instant - now).total_seconds())


def _found(body: bytes, notification: Notification) -> Entity:
    try:
        found = _found_decoder.decode(body)
    except msgspec.ValidationError as error:
        raise FetchError("invalid_response", f"not the API's answer for a row: {error}") from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        # Cut off on its way, as far as we can tell.
        raise EntityError(f"the answer is no JSON: {explain(error, body)}") from error
    payload = bytes(found.data)
    row = read_row(payload)
    if key_encoder(notification.contract)(row) != notification.key:
        raise FetchError("invalid_response", "the API answered with another row")
    return Entity(payload, found.version, _micros(found.updated_at), fingerprint(row))


def _gone(body: bytes, notification: Notification) -> Entity:
    try:
        gone = _gone_decoder.decode(body) if body else _Gone()
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        # Anything may write a 404's body; the status says what matters.
        gone = _Gone()
    version = notification.version if gone.version is None else gone.version
    return Entity(None, version, _micros(gone.deleted_at), None)


def _micros(instant: datetime | None) -> int | None:
    if instant is None:
        return None
    return to_micros(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC))
