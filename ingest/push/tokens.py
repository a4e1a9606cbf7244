"""Verifying the OIDC token of a push request: that Google signed it, for us, for the account that may push.

See https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions and RFC 8725 (JWT best current practices).
"""

from typing import Any, Final

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from core.errors import MillraceError
from ingest.push.certificates import Certificates
from ingest.push.settings import PushSettings

ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
_ALGORITHM: Final = "RS256"
_CLOCK_SKEW_S: Final = 10
_LONGEST: Final = 8_192
_BEARER: Final = "bearer "


class TokenError(MillraceError):
    """The request does not prove that it may push; the message never holds the token."""


class TokenVerifier:
    """Verifies tokens against one audience and one account."""

    def __init__(self, settings: PushSettings, certificates: Certificates) -> None:
        """Prepare to verify.

        Args:
            settings: audience and account.
            certificates: the issuer's.
        """
        self._settings = settings
        self._certificates = certificates

    async def verify(self, authorization: str | None) -> None:
        """Make sure that a request may push.

        Args:
            authorization: its `Authorization` header.

        Raises:
            TokenError: when it may not.
            UnavailableError: when the issuer's certificates cannot be had.
        """
        token = _bearer(authorization)
        key_id = _key_id(token)
        certificates = await self._certificates.for_key(key_id)
        claims = _decode(
            token, {key_id: certificates[key_id]} if key_id in certificates else {}, self._settings.audience
        )
        if claims.get("iss") not in ISSUERS:
            raise TokenError("the token is of another issuer than Google")
        # Not merely the e-mail: an account of any other provider could claim one that it does not own.
        if claims.get("email") != self._settings.service_account or claims.get("email_verified") is not True:
            raise TokenError("the token is of another account than the one that may push")


def _bearer(authorization: str | None) -> str:
    if not authorization or not authorization.lower().startswith(_BEARER):
        raise TokenError("the request has no bearer token")
    if len(authorization) > _LONGEST:
        raise TokenError(f"the token is longer than {_LONGEST} characters")
    return authorization[len(_BEARER) :].strip()


def _key_id(token: str) -> str:
    """Return which key a token says it is signed with; only the one algorithm is ever looked at further."""
    try:
        header = jwt.decode_header(token)
    except (GoogleAuthError, ValueError) as error:
        raise TokenError("the token cannot be read") from error
    # Before any key is chosen: with "none" or HS256 the public certificate would be all that a forger needs.
    if header.get("alg") != _ALGORITHM:
        raise TokenError(f"the token is not signed with {_ALGORITHM}")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TokenError("the token does not say which key signed it")
    return key_id


def _decode(token: str, certificates: dict[str, str], audience: str) -> dict[str, Any]:
    if not certificates:
        raise TokenError("the token is signed with a key that Google does not list")
    try:
        claims: dict[str, Any] = jwt.decode(
            token, certs=certificates, audience=audience, clock_skew_in_seconds=_CLOCK_SKEW_S
        )
    except (GoogleAuthError, ValueError, TypeError) as error:
        # google-auth may repeat claims in its words; the first line says which check failed.
        raise TokenError(f"the token does not hold: {str(error).splitlines()[0]}") from error
    return claims
