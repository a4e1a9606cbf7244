"""Secrets as settings hold them: checked at the start, so that no client ever has to complain of one in its own words.

A client that cannot send a secret quotes it in its error, and so into the logs; and a secret manager keeps the line end
that `echo` wrote behind the secret. Both end here.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
"""What a header's value may consist of besides blanks: `VCHAR` of RFC 9110, section 5.5."""


def _check_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("is empty; unset it, or give the token")
    if _VISIBLE.fullmatch(text) is None:
        raise ValueError("holds what no HTTP header may: a token is visible ASCII without blanks; write it anew")
    return SecretStr(text)


def _without_line_end(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().rstrip("\r\n"))


BearerToken = Annotated[SecretStr, AfterValidator(_check_token)]
"""A token that goes into a header (RFC 6750); blanks and line ends around it are none of it."""

Password = Annotated[SecretStr, AfterValidator(_without_line_end)]
"""Any text; line ends behind it are none of it."""
