"""Rows as people look at them before, or while, they land: personal data masked unless it is asked for."""

from typing import Any, Final

import msgspec

from core.clock import from_micros
from core.contracts import TableContract
from ingest.dead_letters.masking import masked_text
from ingest.row import RawRow

MASKED: Final = "***"


class Preview(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row, ready to be shown.

    Attributes:
        table: raw table.
        op: what happened; UPSERT where that is worked out only when it lands.
        event_id: message id.
        publish_time: when it was published, in ISO 8601, UTC.
        key: primary key.
        payload: the row image; None for a deletion.
        source_position: place in the source's log.
        source_time: when it happened at the source, in ISO 8601, UTC.
    """

    table: str
    op: str
    event_id: str
    publish_time: str
    key: Any = None
    payload: Any = None
    source_position: str | None = None
    source_time: str | None = None


def preview(row: RawRow, contract: TableContract, *, reveal: bool) -> Preview:
    """Return a row as it may be shown.

    Args:
        row: the row.
        contract: says which columns hold personal data.
        reveal: whether those are shown too.

    Returns:
        The row; without `reveal`, columns that hold personal data, and fields that nobody declared, are masked.
    """
    return Preview(
        table=contract.name,
        op=row.op,
        event_id=row.event_id,
        publish_time=_time(row.publish_ts) or "",
        key=_shown(row.key, contract, reveal=reveal),
        payload=_shown(row.payload, contract, reveal=reveal),
        source_position=row.source_position,
        source_time=_time(row.source_ts),
    )


def line(shown: Preview) -> str:
    """Return a row as one line for people.

    Args:
        shown: the row.
    """
    body = shown.key if shown.payload is None else shown.payload
    text = msgspec.json.encode(body).decode() if body is not None else ""
    return f"{shown.publish_time}  {shown.op:<8}  {shown.event_id}  {text}"


def _time(micros: int | None) -> str | None:
    return from_micros(micros).isoformat() if micros else None


def _shown(text: bytes | None, contract: TableContract, *, reveal: bool) -> Any:
    """Return a JSON object with the digits of its values as they came, masked where it must be."""
    if text is None:
        return None
    try:
        # Not decoded any further: a number keeps every digit.
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return text.decode(errors="replace") if reveal else masked_text(text.decode(errors="replace"))
    if reveal:
        return fields
    open_columns = {column.name for column in contract.columns if column.pii is None}
    null = b"null"
    return {name: value if name in open_columns or bytes(value) == null else MASKED for name, value in fields.items()}
