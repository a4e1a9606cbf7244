"""An issuer of tokens as Google is one: keys of its own, certificates served on loopback, and every forgery."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.http.address import Address, bind
from ingest.http.server import serving

AUDIENCE = "https://ingest.acme.example/push"
ACCOUNT = "millrace-push@acme-millrace.iam.gserviceaccount.com"


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


@dataclass
class Issuer:
    """One key and its certificate.

    Attributes:
        key_id: what its tokens say they are signed with.
        name: issuers of the same name have the same key.
        fetches: how often its certificates were fetched.
        is_down: whether the server of its certificates fails.
    """

    key_id: str = "k1"
    name: str = "issuer"
    fetches: int = field(default=0, init=False)
    is_down: bool = False

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return _key(self.name)

    @cached_property
    def certificate(self) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer.test")])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )

    @cached_property
    def signer(self) -> crypt.RSASigner:
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return crypt.RSASigner.from_string(pem, self.key_id)

    def claims(self, **changed: object) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "exp": now + 3_600,
            "iat": now,
            "iss": "https://accounts.google.com",
            "sub": "1",
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def token(self, **changed: object) -> str:
        """A token with some claims replaced, or left out when they are None."""
        return str(jwt.encode(self.signer, self.claims(**changed)).decode())

    def unsigned(self) -> str:
        """`alg` none: RFC 7519, section 6."""
        return f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': self.key_id})}.{_part(self.claims())}."

    def signed_with_the_certificate(self) -> str:
        """HS256 with the public certificate as the secret: CVE-2015-9235."""
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': self.key_id})}.{_part(self.claims())}"
        mac = hmac.new(self.certificate.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_encoded(mac)}"

    def tampered(self) -> str:
        """Another audience under a signature for ours."""
        header, _, signature = self.token(aud="https://elsewhere.example").split(".")
        return f"{header}.{_part(self.claims())}.{signature}"

    def without_key_id(self) -> str:
        return str(jwt.encode(crypt.RSASigner(self.key, None), self.claims()).decode())

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the certificates; yields their address."""

        async def certificates(_request: Request) -> Response:
            self.fetches += 1
            if self.is_down:
                return Response(status_code=503)
            return JSONResponse({self.key_id: self.certificate}, headers={"cache-control": "public, max-age=3600"})

        listening = bind(Address("127.0.0.1", 0))
        port = port_of(listening)
        async with serving(Starlette(routes=[Route("/certs", certificates)]), listening):
            yield f"http://127.0.0.1:{port}/certs"


@cache
def _key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
