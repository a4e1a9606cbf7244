"""A broker as far as a client asks it who it is: TLS with a certificate of ours, and SASL/PLAIN with one user.

https://kafka.apache.org/protocol.html; what comes behind the authentication is one topic's metadata.
"""

import datetime as dt
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 3, 17, 18, 36
SASL_AUTHENTICATION_FAILED = 58
VERSIONS = {METADATA: (0, 1), SASL_HANDSHAKE: (1, 1), API_VERSIONS: (0, 0), SASL_AUTHENTICATE: (0, 0)}
UNSUPPORTED_VERSION = 35


@dataclass
class Broker:
    """What the broker accepts, and what it was told.

    Attributes:
        user: who may log in, as name and password; None to ask nobody.
        topic: the one that is there.
        logins: name and password of every attempt.
        clients: subjects of the certificates that clients showed; None of one that showed none.
        address: `host:port`, once it serves.
    """

    user: tuple[str, str] | None
    topic: str
    logins: list[tuple[str, str]] = field(default_factory=list)
    clients: list[str | None] = field(default_factory=list)
    address: str = ""

    def answer(self, kind: int, version: int, body: bytes) -> bytes:
        """Return the body of an answer."""
        if kind == API_VERSIONS:
            versions = b"".join(struct.pack(">hhh", name, *range_) for name, range_ in VERSIONS.items())
            error = 0 if version == 0 else UNSUPPORTED_VERSION
            return struct.pack(">hi", error, len(VERSIONS)) + versions
        if kind == SASL_HANDSHAKE:
            return struct.pack(">hi", 0, 1) + _text("PLAIN")
        if kind == SASL_AUTHENTICATE:
            _, name, password = body[4:].decode().split("\0")  # RFC 4616, behind the length
            self.logins.append((name, password))
            fine = (name, password) == self.user
            return struct.pack(">h", 0 if fine else SASL_AUTHENTICATION_FAILED) + _text("wrong") + struct.pack(">i", 0)
        host, port = self.address.split(":")
        broker = struct.pack(">ii", 1, 1) + _text(host) + struct.pack(">i", int(port)) + _text(None)
        partition = struct.pack(">ihiiiiii", 1, 0, 0, 1, 1, 1, 1, 1)
        return broker + struct.pack(">iih", 1, 1, 0) + _text(self.topic) + b"\0" + partition


def _text(value: str | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


@contextmanager
def serving(broker: Broker, tls: ssl.SSLContext | None) -> Iterator[Broker]:
    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            # A client that does not like our certificate, or whose own we do not like, hangs up.
            with suppress(OSError, struct.error):
                connection = self.request if tls is None else tls.wrap_socket(self.request, server_side=True)
                if isinstance(connection, ssl.SSLSocket):
                    shown = connection.getpeercert()
                    broker.clients.append(dict(one[0] for one in shown["subject"])["commonName"] if shown else None)
                while size := struct.unpack(">i", _read(connection, 4))[0]:
                    request = _read(connection, size)
                    kind, version, correlation, name = struct.unpack(">hhih", request[:10])
                    answer = struct.pack(">i", correlation) + broker.answer(kind, version, request[10 + max(name, 0) :])
                    connection.sendall(struct.pack(">i", len(answer)) + answer)

    ThreadingTCPServer.daemon_threads = True
    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        broker.address = f"localhost:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield broker
        finally:
            server.shutdown()
            thread.join()


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and files of what it has signed.

    Attributes:
        folder: where its files are.
        name: its name.
    """

    folder: Path
    name: str

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        object.__setattr__(self, "_key", key)
        self._sign(self.name, key, is_ca=True)

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate for `localhost`, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key, is_ca=False)
        path = self.folder / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, path

    def server_context(self, *, asks_clients: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server"))
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        return context

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> Path:
        now = dt.datetime.now(dt.UTC)
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, self.name))
        signed = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())  # type: ignore[attr-defined]  # set when the authority is made
        )
        path = self.folder / f"{name}.pem"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path
