"""URIs of connections, which hold secrets: refused when they are not well formed, and hidden in what drivers say.

A password with `/`, `@` or `[` in it that was not percent-encoded (RFC 3986, section 2.1) is taken apart by drivers at
another place than it was meant to be, and what they then cannot parse, they quote.
"""

import re
from typing import Final
from urllib.parse import unquote

_HIDDEN: Final = "***"
_HOST: Final = r"(?: \[[0-9a-f:.]+\] | [^:@/?\#\[\],\s]* ) (?: :\d* )?"
_WELL_FORMED: Final = re.compile(
    rf"""
    (?: [a-z][a-z0-9+.-]*:// )?                         # Snowflake's have no scheme
    (?: (?P<user> (?: [^%:@/?\#\[\]\s] | %[0-9a-f][0-9a-f] )* )
        (?: : (?P<password> (?: [^%@/?\#\[\]\s] | %[0-9a-f][0-9a-f] )* ) )? @ )?
    {_HOST} (?: , {_HOST} )*                            # libpq takes several
    (?: / [^@?\#\[\]\s]* )?
    (?: \? (?P<options> [^@?\#\[\]\s]* ) )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_OPTIONS: Final = re.compile(r"(?:^|&)[^=&]*(?:pass|token|secret|key)[^=&]*=([^&]+)", re.IGNORECASE)


def is_well_formed(uri: str) -> bool:
    """Return whether a URI is taken apart by everybody alike.

    Args:
        uri: the connection, `scheme://user:password@host:port/path?options`, or without its scheme.
    """
    return _WELL_FORMED.fullmatch(uri) is not None


def without_secrets(message: str, uri: str) -> str:
    """Return what a driver says without the secrets of its connection, on one line.

    Args:
        message: what it says.
        uri: the connection.
    """
    found = _WELL_FORMED.fullmatch(uri)
    secrets = {uri}
    if found is not None:
        held = [found["password"], *_SECRET_OPTIONS.findall(found["options"] or "")]
        secrets |= {form for secret in held if secret for form in (secret, unquote(secret))}
    # The longest first, or what is left of it would stand there.
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, _HIDDEN)
    return " ".join(message.split())
