"""The API's answers, read and checked against what was asked for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

from core.clock import to_micros
from core.contracts import TableContract
from ingest.decode.notification import Notification, Version, row_key_encoder, set_key_encoder
from ingest.decode.payload import explain, fingerprint, read_row
from ingest.fetch.errors import EntityError, FetchError

_T = TypeVar("_T")


class Entity(msgspec.Struct, frozen=True):
    """A row's state at the API.

    Attributes:
        payload: the row, exactly as the API wrote it; None when the row is gone.
        version: the row's version at that time.
        changed_at: when it was last changed or deleted, in microseconds since 1970 UTC; None when not told.
        schema_fingerprint: fingerprint of the row's field names; None when it is gone.
        key: the canonical key.
    """

    payload: bytes | None
    version: int
    changed_at: int | None
    schema_fingerprint: str | None
    key: bytes = b""


class EntitySet(msgspec.Struct, frozen=True):
    """A complete set of rows at the API.

    Attributes:
        rows: its rows, by canonical key.
        version: all changes up to this version are in it; a row that is not in it and not newer is gone.
    """

    rows: Mapping[bytes, Entity]
    version: int


class SetPage(msgspec.Struct):
    """A page of a set, as the API writes it.

    Attributes:
        items: its rows.
        total: rows of the whole set.
        version: all changes up to this version are in the page.
        next: where the next page is; None on the last one.
    """

    items: list["_Found"]
    total: Annotated[int, Meta(ge=0)]
    version: Version
    next: str | None = None


class _Found(msgspec.Struct):
    data: Raw
    version: Version
    updated_at: datetime | None = None


class _Gone(msgspec.Struct):
    version: Version | None = None
    deleted_at: datetime | None = None


_found_decoder = msgspec.json.Decoder(_Found)
_gone_decoder = msgspec.json.Decoder(_Gone)
_page_decoder = msgspec.json.Decoder(SetPage)


def read_found(body: bytes, notification: Notification) -> Entity:
    """Read a row.

    Args:
        body: the answer.
        notification: what was asked for.

    Returns:
        The row.

    Raises:
        FetchError: when it is no such answer, or another row.
        EntityError: when it is cut off.
    """
    entity = _entity(_decode(_found_decoder, body, "a row"), notification.contract)
    if entity.key != notification.key:
        raise FetchError("invalid_response", "the API answered with another row")
    return entity


def read_gone(body: bytes, notification: Notification) -> Entity:
    """Read the answer for a row that is gone, or never was.

    Args:
        body: the answer; anything may have written it, the status has said what matters.
        notification: what was asked for; its version stands in for one that is not told.

    Returns:
        The tombstone.
    """
    try:
        gone = _gone_decoder.decode(body) if body else _Gone()
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        gone = _Gone()
    version = notification.version if gone.version is None else gone.version
    return Entity(None, version, _micros(gone.deleted_at), None, notification.key)


def read_page(body: bytes) -> SetPage:
    """Read a page of a set.

    Args:
        body: the answer.

    Returns:
        The page.

    Raises:
        FetchError: when it is no such answer.
        EntityError: when it is cut off.
    """
    return _decode(_page_decoder, body, "a set")


def read_items(page: SetPage, notification: Notification) -> dict[bytes, Entity]:
    """Read the rows of a page.

    Args:
        page: the page.
        notification: the set that was asked for.

    Returns:
        The rows by canonical key.

    Raises:
        FetchError: when a row is not one of the set.
        EntityError: when a row is there twice.
    """
    rows = {}
    for item in page.items:
        entity = _entity(item, notification.contract)
        if set_key_encoder(notification.contract)(read_row(entity.payload or b"{}")) != notification.key:
            raise FetchError("invalid_response", "the API answered with a row of another set")
        rows[entity.key] = entity
    if len(rows) != len(page.items):
        raise EntityError("a row is twice on one page")
    return rows


def _entity(found: _Found, contract: TableContract) -> Entity:
    payload = bytes(found.data)
    row = read_row(payload)
    return Entity(payload, found.version, _micros(found.updated_at), fingerprint(row), row_key_encoder(contract)(row))


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes, what: str) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise FetchError("invalid_response", f"not the API's answer for {what}: {error}") from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        # Cut off on its way, as far as we can tell.
        raise EntityError(f"the answer is no JSON: {explain(error, body)}") from error


def _micros(instant: datetime | None) -> int | None:
    if instant is None:
        return None
    return to_micros(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC))
