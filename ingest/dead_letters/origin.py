"""Where the letters of the files transport came from, as their event ids tell: a row of an object, or an object."""

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

ROW_ID: Final = r"(?s)^.+/.+#[^#/:]+:[0-9]+$"
"""Matches the event ids of rows: `<bucket>/<object>#<version>:<row>`. GoogleSQL and Python read it alike."""

OBJECT_ID: Final = r"(?s)^.+/.+#[^#/:]+$"
"""Matches the event ids of objects, and of the markers of full dumps: `<bucket>/<object>#<version>`."""

_ROW: Final = re.compile(ROW_ID)
_OBJECT: Final = re.compile(OBJECT_ID)


class ObjectName(NamedTuple):
    """An object in one version.

    Attributes:
        uri: where it lies.
        path: its path below the place files are read from.
        version: its generation, or ETag.
    """

    uri: str
    path: str
    version: str


def is_row(event_id: str) -> bool:
    """Tell whether a letter is a row of an object.

    Args:
        event_id: its id.
    """
    return _ROW.match(event_id) is not None


def is_object(event_id: str) -> bool:
    """Tell whether a letter is an object.

    Args:
        event_id: its id.
    """
    return _OBJECT.match(event_id) is not None


def object_of(event_id: str, place: str) -> ObjectName | None:
    """Return the object that a letter is about.

    Args:
        event_id: its id; one of an object.
        place: the URI of the place files are read from.

    Returns:
        The object; None when it lies elsewhere.
    """
    name, _, version = event_id.rpartition("#")
    scheme, _, _ = place.partition("://")
    base = f"{_base(place)}/"
    if not name.startswith(base):
        return None
    path = name.removeprefix(base)
    return ObjectName(f"{scheme}://{name}", unquote(path) if scheme == "file" else path, version)


def _base(place: str) -> str:
    """Return how the ids of a place's objects begin; files are named by their absolute path, percent-encoded."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).absolute().as_uri().removeprefix("file://").rstrip("/")
    return "/".join(part for part in (parts.netloc, parts.path.strip("/")) if part)
