"""The certificates that tokens are verified with, fetched when they are needed and kept as long as they may be."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import msgspec

from core.errors import UnavailableError

_TIMEOUT_S: Final = 10.0
_MAX_AGE: Final = re.compile(r"max-age=(\d{1,9})")
_DEFAULT_AGE_S: Final = 3_600.0
_LONGEST_AGE_S: Final = 24 * 3_600.0
_REFETCH_S: Final = 60.0
"""Tokens that name an unknown key cost a fetch at most this often: anybody can send such tokens."""


def certificates_client() -> httpx.AsyncClient:
    """Return the client that fetches certificates: it follows no redirect, and ignores the environment's proxies."""
    return httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)


class Certificates:
    """An issuer's certificates by key id, in PEM."""

    def __init__(self, url: str, client: httpx.AsyncClient, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            url: where they are, as a JSON object of PEM by key id.
            client: fetches them; it follows no redirects.
            now: the monotonic clock, in seconds.
        """
        self._url = url
        self._client = client
        self._now = now
        self._found: Mapping[str, str] = {}
        self._fetched_at: float | None = None
        self._expires_at = 0.0
        self._fetching = asyncio.Lock()

    async def for_key(self, key_id: str | None) -> Mapping[str, str]:
        """Return the certificates, fetched anew when they are old or lack a key.

        Args:
            key_id: what the token says it is signed with.

        Returns:
            The certificates; `key_id` may still be missing.

        Raises:
            UnavailableError: when they cannot be fetched, and none are at hand.
        """
        async with self._fetching:
            if self._is_due(key_id):
                await self._fetch()
        return self._found

    def _is_due(self, key_id: str | None) -> bool:
        if self._fetched_at is None:
            return True
        age = self._now() - self._fetched_at
        return age >= _REFETCH_S and (self._now() >= self._expires_at or key_id not in self._found)

    async def _fetch(self) -> None:
        try:
            response = await self._client.get(self._url)
            response.raise_for_status()
            found = msgspec.json.decode(response.content, type=dict[str, str])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            if not self._found:
                raise UnavailableError(f"certificates at {self._url}: {type(error).__name__}: {error}") from error
            # Old keys are better than none: the next attempt is a minute away.
            self._fetched_at = self._now()
            return
        self._found = found
        self._fetched_at = self._now()
        stated = _MAX_AGE.search(response.headers.get("cache-control", ""))
        self._expires_at = self._now() + (min(float(stated[1]), _LONGEST_AGE_S) if stated else _DEFAULT_AGE_S)
