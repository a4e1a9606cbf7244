"""The tokens of push requests: signed as Google signs them, with a key that lives as long as the server."""

import time
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

_KEY_ID: Final = "millrace-devstack"
_LIFETIME_S: Final = 3_600


class Issuer:
    """Signs tokens with a key that it makes when it first needs one."""

    def token(self, account: str, audience: str) -> str:
        """Returns a token, good for an hour.

        Args:
            account: e-mail of the service account it speaks for.
            audience: whom it is meant for.
        """
        now = int(time.time())
        claims = {
            "aud": audience,
            "azp": "1",
            "email": account,
            "email_verified": True,
            "exp": now + _LIFETIME_S,
            "iat": now,
            "iss": "https://accounts.google.com",
            "sub": "1",
        }
        encoded: bytes = jwt.encode(self._signer, claims)
        return encoded.decode()

    def certificates(self) -> dict[str, str]:
        """Returns what verifies the tokens: certificates in PEM by key id."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "millrace devstack")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1))
        certificate = builder.not_valid_after(now + timedelta(days=365)).sign(self._key, hashes.SHA256())
        return {_KEY_ID: certificate.public_bytes(serialization.Encoding.PEM).decode()}

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    @cached_property
    def _signer(self) -> crypt.RSASigner:
        return crypt.RSASigner(self._key, _KEY_ID)
