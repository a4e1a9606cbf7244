"""Where requests may go: the guard against being sent to what only this machine can reach (SSRF).

A host name is resolved here, its addresses are checked here, and the connection goes to the very address that was
checked; so a name that resolves to something else a moment later (DNS rebinding) gains nothing. TLS still asks for
the certificate of the name. See the OWASP cheat sheet "Server-Side Request Forgery Prevention".
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from core.errors import ConfigurationError
from core.settings import Settings

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and a port to its addresses; raises `OSError` when there are none."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_RESOLVED_S = 30.0


@dataclass(frozen=True)
class AddressPolicy:
    """What a request may address.

    Attributes:
        hosts: names it may go to, in lower case.
        https_only: whether the connection must be encrypted.
        global_only: whether the address must be one of the public internet.
        networks: networks that are allowed although they are not global.
    """

    hosts: frozenset[str]
    https_only: bool = True
    global_only: bool = True
    networks: tuple[IPNetwork, ...] = ()

    def check_url(self, url: httpx.URL) -> None:
        """Check what is known before the name is resolved.

        Args:
            url: where the request goes.

        Raises:
            ConfigurationError: when it may not go there.
        """
        if url.host.lower() not in self.hosts:
            raise ConfigurationError(
                f"requests to {url.host!r} are not allowed; list the host in MILLRACE_API_ALLOWED_HOSTS if they should"
            )
        if url.scheme not in (("https",) if self.https_only else ("https", "http")):
            raise ConfigurationError(f"a request by {url.scheme!r} is not allowed; the API must be reached by https")

    def check_address(self, host: str, text: str) -> None:
        """Check what a name resolved to.

        Args:
            host: the name.
            text: one of its addresses.

        Raises:
            ConfigurationError: when no connection may be made to it.
        """
        if self.global_only and not self._may_connect(ipaddress.ip_address(text.partition("%")[0])):
            raise ConfigurationError(
                f"{host} resolves to {text}, which is no address of the public internet; if the API stands in a "
                "network of yours, name it in MILLRACE_API_ALLOWED_NETWORKS"
            )

    def _may_connect(self, address: IPAddress) -> bool:
        inner = _embedded(address)
        if inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified:
            # Among the link-local ones are the metadata servers of the clouds.
            return False
        if any(inner in network for network in self.networks if network.version == inner.version):
            return True
        return inner.is_global and not inner.is_reserved


def address_policy(settings: Settings) -> AddressPolicy:
    """Return what requests to the API may address.

    Args:
        settings: the API's address, the allowed hosts and networks, and the environment: a laptop may do without
            https and talk to itself.

    Returns:
        The policy.

    Raises:
        ConfigurationError: when the API's address is missing, holds credentials or no host, or is not allowed.
    """
    if settings.api_base_url is None:
        raise ConfigurationError("MILLRACE_API_BASE_URL is not set; set it to the base URL of the API")
    try:
        url = httpx.URL(settings.api_base_url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"MILLRACE_API_BASE_URL is no valid URL: {error}") from error
    if not url.host or url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            "MILLRACE_API_BASE_URL must name a host, and hold no credentials, query or fragment; "
            "the token belongs in MILLRACE_API_TOKEN"
        )
    is_local = settings.environment == "local"
    if not is_local and url.scheme != "https":
        raise ConfigurationError(f"MILLRACE_API_BASE_URL must be https in environment {settings.environment!r}")
    hosts = frozenset(host.lower() for host in settings.api_allowed_hosts) or frozenset((url.host.lower(),))
    policy = AddressPolicy(hosts, not is_local, not is_local, tuple(settings.api_allowed_networks))
    policy.check_url(url)
    return policy


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system resolves them.

    Args:
        host: name or address.
        port: where the connection will go.

    Returns:
        The distinct addresses, in the system's order of preference.

    Raises:
        OSError: when there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends a request to an address that was checked, under the name it was meant for."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        policy: AddressPolicy,
        resolver: Resolver = resolve,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wrap a transport.

        Args:
            inner: makes the connections; it is given addresses, never names.
            policy: what may be addressed.
            resolver: finds a host's addresses.
            now: a clock in seconds that never goes back.
        """
        self._inner = inner
        self._policy = policy
        self._resolver = resolver
        self._now = now
        self._resolved: dict[tuple[str, int], tuple[Sequence[str], float]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check where the request goes, and send it there.

        Args:
            request: whose body, if any, may be sent only once; there is none in what the ingester sends.

        Returns:
            The response.

        Raises:
            ConfigurationError: when it may not go there.
            httpx.TransportError: when it failed.
        """
        self._policy.check_url(request.url)
        host = request.url.host
        failure = httpx.ConnectError(f"{host} has no address", request=request)
        for address in await self._addresses(request):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # among them Host, which names the host
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx.ConnectError as error:
                failure = error
        self._resolved.clear()
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _addresses(self, request: httpx.Request) -> Sequence[str]:
        url = request.url
        place = (url.host, url.port or (443 if url.scheme == "https" else 80))
        addresses, until = self._resolved.get(place, ((), 0.0))
        if self._now() >= until:
            try:
                addresses = await self._resolver(*place)
            except OSError as error:
                raise httpx.ConnectError(f"{url.host} cannot be resolved: {error}", request=request) from error
            for address in addresses:
                # All of them: a name that also stands for something internal is not to be trusted at all.
                self._policy.check_address(url.host, address)
            self._resolved[place] = addresses, self._now() + _RESOLVED_S
        return addresses


def _embedded(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    return inner or address
