"""The paths of rows and sets at the API, made from values that nobody has vetted."""

from urllib.parse import quote

import httpx
import msgspec

from core.contracts import TableContract
from core.errors import ConfigurationError
from ingest.decode.notification import Notification
from ingest.fetch.errors import FetchError


def entity_path(contract: TableContract, notification: Notification) -> str:
    """Return the path of a row, or of a set, at the API.

    Args:
        contract: the table; its `api_path`, or its `api_set_path` for a set, must not be None.
        notification: whose key to put in.

    Returns:
        The path with every key value percent-encoded as one segment (RFC 3986, section 2.1).

    Raises:
        FetchError: `fetch_refused`, when a value would name another path ("." or "..").
    """
    template = contract.api_set_path if notification.is_set else contract.api_path
    if template is None:
        missing = "api_set_path" if notification.is_set else "api_path"
        raise ConfigurationError(f"{contract.name} has no {missing}; declare one in its contract")
    values = msgspec.json.decode(notification.key, type=dict[str, object])
    segments = {}
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if text in ("", ".", ".."):
            raise FetchError("fetch_refused", f"key column {name!r} cannot stand in a path")
        segments[name] = quote(text, safe="")
    return template.format_map(segments)


def next_page(current: httpx.URL, link: str) -> httpx.URL:
    """Return the next page of a set.

    Args:
        current: URL of the page that named it.
        link: how it named it, relative (RFC 3986, section 4.2) or absolute.

    Returns:
        Its URL, which differs from the present page's in the query only.

    Raises:
        FetchError: `fetch_refused`, when it leads anywhere else.
    """
    try:
        url = current.join(link)
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError("fetch_refused", f"the link to the next page is no valid URL: {error}") from error
    # Compared as sent: what is decoded may look the same and be another place.
    if url.copy_with(query=None) != current.copy_with(query=None) or url.userinfo or url.fragment:
        raise FetchError("fetch_refused", "the link to the next page leads somewhere else")
    return url
