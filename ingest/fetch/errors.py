"""What can go wrong with a fetch, told apart by what is to become of the notification."""

import httpx

from core.errors import DecodeError, UnavailableError


class FetchError(DecodeError):
    """The API's answer for this row cannot be used, now or ever; other rows are not concerned."""


class EntityError(UnavailableError):
    """The API failed on this row; it may succeed later."""


class ThrottledError(UnavailableError):
    """The API asks everybody to slow down, which is no fault of this row."""


class ServiceDownError(UnavailableError):
    """The API did not answer, or said that it is not there for anybody."""


class CircuitOpenError(UnavailableError):
    """The API is not even asked, because it was down a moment ago; the notification is given back."""


def described(error: httpx.HTTPError) -> str:
    """Describe what the HTTP client complains of, without what it would have sent.

    Args:
        error: the client's error.

    Returns:
        Its kind, and its words unless they may quote the request: a `LocalProtocolError` shows the header that it would
        not send, token and all.
    """
    kind = type(error).__name__
    return kind if isinstance(error, httpx.LocalProtocolError) else f"{kind}: {error}"
