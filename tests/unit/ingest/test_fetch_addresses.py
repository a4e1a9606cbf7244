"""Where requests of the fetcher may go, and that they go to the very address that was checked."""

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fetch_api import Answer, Request, fetching, row_answer, row_notification, scripted
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import ConfigurationError
from core.settings import Settings
from ingest.fetch import FetchError, ServiceDownError, api_client
from ingest.fetch.addresses import AddressPolicy, PinnedTransport, address_policy, resolve
from ingest.settings import IngestSettings

PRODUCTION = Settings(environment="production", api_base_url="https://api.example")
GLOBAL = "93.184.215.14"


def connecting(policy: AddressPolicy, *addresses: str, inner: httpx.AsyncBaseTransport | None = None) -> "Pinned":
    return Pinned(policy, [list(addresses)], inner or Unreachable())


@dataclass
class Unreachable(httpx.AsyncBaseTransport):
    """Answers 200 to whatever reaches it, and says where that went."""

    went_to: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.went_to.append(request.url.host)
        return httpx.Response(200)


class Pinned:
    """A client whose names resolve as told, in turn."""

    def __init__(self, policy: AddressPolicy, answers: list[list[str]], inner: httpx.AsyncBaseTransport) -> None:
        self.asked = 0
        self.now = 0.0
        self._answers = answers
        transport = PinnedTransport(inner, policy, self._resolve, lambda: self.now)
        self.client = httpx.AsyncClient(transport=transport, follow_redirects=False, trust_env=False)

    async def _resolve(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        if not answer:
            raise OSError("no such host")
        return answer


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    ],
)  # fmt: skip
async def test_no_request_goes_to_what_only_this_machine_reaches(address: str) -> None:
    pinned = connecting(address_policy(PRODUCTION), address)
    with pytest.raises(ConfigurationError, match="no address of the public internet"):
        await pinned.client.get("https://api.example/v1")


@pytest.mark.parametrize("address", [GLOBAL, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
async def test_requests_go_to_the_public_internet(address: str) -> None:
    inner = Unreachable()
    pinned = connecting(address_policy(PRODUCTION), address, inner=inner)
    assert (await pinned.client.get("https://api.example/v1")).status_code == 200
    assert inner.went_to == [address]


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    inner = Unreachable()
    pinned = connecting(address_policy(PRODUCTION), GLOBAL, "10.0.0.1", inner=inner)
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1"):
        await pinned.client.get("https://api.example/v1")
    assert inner.went_to == []


async def test_networks_of_ones_own_may_be_named_but_never_loopback_or_the_metadata_server() -> None:
    settings = PRODUCTION.model_copy(update={"api_allowed_networks": (ipaddress.ip_network("10.20.0.0/16"),)})
    assert (await connecting(address_policy(settings), "10.20.1.2").client.get("https://api.example")).is_success
    with pytest.raises(ConfigurationError):
        await connecting(address_policy(settings), "10.21.1.2").client.get("https://api.example")
    anything = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    policy = address_policy(PRODUCTION.model_copy(update={"api_allowed_networks": anything}))
    for address in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:169.254.169.254"):
        with pytest.raises(ConfigurationError):
            await connecting(policy, address).client.get("https://api.example")


@given(st.ip_addresses(v=4))
def test_what_is_not_global_is_never_allowed(address: ipaddress.IPv4Address) -> None:
    policy = address_policy(PRODUCTION)
    for text in (str(address), f"::ffff:{address}", f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"):
        try:
            policy.check_address("api.example", text)
        except ConfigurationError:
            continue
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize(
    "url",
    ["http://api.example/", "https://other.example/", "https://api.example.evil.example/", "ftp://api.example/",
     "https://169.254.169.254/", "https://[::1]/"],
)  # fmt: skip
async def test_only_https_and_only_named_hosts(url: str) -> None:
    inner = Unreachable()
    pinned = connecting(address_policy(PRODUCTION), GLOBAL, inner=inner)
    with pytest.raises((ConfigurationError, httpx.UnsupportedProtocol)):
        await pinned.client.get(url)
    assert (pinned.asked, inner.went_to) == (0, [])


async def test_hosts_may_be_listed() -> None:
    settings = PRODUCTION.model_copy(update={"api_allowed_hosts": ("API.example", "other.example")})
    pinned = connecting(address_policy(settings), GLOBAL)
    for host in ("api.example", "other.example"):
        assert (await pinned.client.get(f"https://{host}/")).is_success
    with pytest.raises(ConfigurationError, match="MILLRACE_API_ALLOWED_HOSTS"):
        address_policy(PRODUCTION.model_copy(update={"api_allowed_hosts": ("other.example",)}))


@pytest.mark.parametrize(
    "base_url",
    ["http://api.example", "https://user:canary@api.example", "https://api.example/?token=canary",
     "https://api.example/#canary", "https://", "https://[::1"],
)  # fmt: skip
async def test_a_base_url_that_must_not_be_is_refused_without_its_secrets(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_API_BASE_URL") as caught:
        async with api_client(PRODUCTION.model_copy(update={"api_base_url": base_url}), IngestSettings()):
            pass
    assert "canary" not in str(caught.value)


def test_a_network_must_be_one() -> None:
    with pytest.raises(ValidationError):
        Settings(api_allowed_networks=("10.0.0.1/8/9",))  # type: ignore[arg-type]


async def test_the_real_client_refuses_loopback_outside_a_laptop() -> None:
    """Through the whole client and the system's resolver: the name `localhost` is as good as any."""
    settings = Settings(environment="production", api_base_url="https://localhost")
    async with api_client(settings, IngestSettings()) as client:
        with pytest.raises(ConfigurationError, match="no address of the public internet"):
            await client.get("/v1")


async def test_a_redirect_is_not_followed() -> None:
    def script(request: Request) -> Answer:
        return Answer(302, headers={"Location": "/elsewhere"}) if "email" in request.path else row_answer()

    with scripted(script) as api:
        async with fetching(api.url) as (fetcher, _):
            with pytest.raises(FetchError, match="302"):
                await fetcher.fetch(row_notification())
    assert [one.path for one in api.requests] == ["/v1/member-emails/7"]


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """DNS rebinding: the connection goes to what was checked, and the next answer is checked as well."""
    inner = Unreachable()
    pinned = Pinned(address_policy(PRODUCTION), [[GLOBAL], ["169.254.169.254"]], inner)
    for _ in range(3):
        await pinned.client.get("https://api.example/v1")
    assert (inner.went_to, pinned.asked) == ([GLOBAL] * 3, 1)
    pinned.now += 60
    with pytest.raises(ConfigurationError):
        await pinned.client.get("https://api.example/v1")
    assert inner.went_to == [GLOBAL] * 3


async def test_without_the_pin_the_name_would_have_been_asked_again() -> None:
    """The control: a plain client hands the name on, and whoever resolves it last decides."""
    inner = Unreachable()
    await httpx.AsyncClient(transport=inner).get("https://api.example/v1")
    assert inner.went_to == ["api.example"]


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    @dataclass
    class HalfDown(Unreachable):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if request.url.host == GLOBAL:
                raise httpx.ConnectError("down")
            return response

    inner = HalfDown()
    pinned = connecting(address_policy(PRODUCTION), GLOBAL, "8.8.8.8", inner=inner)
    assert (await pinned.client.get("https://api.example/v1")).is_success
    assert inner.went_to == [GLOBAL, "8.8.8.8"]
    pinned = connecting(address_policy(PRODUCTION), GLOBAL, inner=inner)
    with pytest.raises(httpx.ConnectError):
        await pinned.client.get("https://api.example/v1")


async def test_a_name_without_addresses_is_unavailable() -> None:
    with pytest.raises(httpx.ConnectError, match="cannot be resolved"):
        await Pinned(address_policy(PRODUCTION), [[]], Unreachable()).client.get("https://api.example/v1")
    async with fetching("http://no-such-host.invalid", fetch_attempts=1) as (fetcher, _):
        with pytest.raises(ServiceDownError):
            await fetcher.fetch(row_notification())
    assert "127.0.0.1" in await resolve("localhost", 80)


# TLS: the certificate is that of the name, not of the address.


@dataclass
class Tls:
    port: int
    authority: Path
    names: list[str | None] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    folder = tmp_path_factory.mktemp("tls")
    with serving_tls(folder, "api.example") as server:
        yield server


def client_of(tls: Tls, address: str = "127.0.0.1") -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(tls.authority))
    policy = AddressPolicy(frozenset({"api.example", "other.example"}), global_only=False)
    inner = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    return Pinned(policy, [[address]], inner).client


async def test_tls_asks_for_the_name_and_so_does_the_request(tls: Tls) -> None:
    async with client_of(tls) as client:
        answer = await client.get(f"https://api.example:{tls.port}/")
    assert answer.text == "hello"
    assert tls.names[-1] == "api.example"
    assert tls.hosts[-1] == f"api.example:{tls.port}"


async def test_a_certificate_of_another_name_is_refused(tls: Tls) -> None:
    async with client_of(tls) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"https://other.example:{tls.port}/")


@contextmanager
def serving_tls(folder: Path, name: str) -> Iterator[Tls]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    write_certificate(certificate, key, name)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            tls.hosts.append(self.headers["Host"])
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that refuses the certificate is what one of the tests is about."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _socket, asked, _context: tls.names.append(asked)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    tls = Tls(server.server_port, certificate)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield tls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_certificate(certificate: Path, key: Path, name: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
