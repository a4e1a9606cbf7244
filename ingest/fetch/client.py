"""The HTTP client of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from core.settings import Settings
from ingest.fetch.addresses import PinnedTransport, address_policy
from ingest.settings import IngestSettings


@asynccontextmanager
async def api_client(settings: Settings, tunables: IngestSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client of the API.

    Args:
        settings: address, token, and where requests may go.
        tunables: concurrency and timeout.

    Yields:
        A client that keeps its connections, follows no redirect and ignores the environment's proxies, so
        that nothing but the settings decides who sees the token.

    Raises:
        ConfigurationError: when the address is missing or not allowed.
    """
    policy = address_policy(settings)
    # Only what `read_body` can unpack within bounds.
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    if settings.api_token is not None:
        headers["Authorization"] = f"Bearer {settings.api_token.get_secret_value()}"
    limits = httpx.Limits(
        max_connections=tunables.fetch_concurrency, max_keepalive_connections=tunables.fetch_concurrency
    )
    transport = PinnedTransport(httpx.AsyncHTTPTransport(limits=limits, trust_env=False), policy)
    async with httpx.AsyncClient(
        base_url=(settings.api_base_url or "").rstrip("/"),
        headers=headers,
        timeout=tunables.fetch_timeout_s,
        transport=transport,
        follow_redirects=False,
        trust_env=False,
    ) as client:
        yield client
