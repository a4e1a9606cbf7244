"""What of a drifted value may be kept in the audit table, which outlives the data it speaks of."""

from typing import Final

import msgspec

from ingest.drift.watch import Drift

_MAX_LENGTH: Final = 200


def sample(drift: Drift) -> str | None:
    """Return a field's value as it may be kept: itself only when the contract knows that it is no personal data.

    Args:
        drift: the change.

    Returns:
        JSON text; the kind of JSON value and its length; or None for a missing field.
    """
    change = drift.change
    if change.kind == "missing_field":
        return None
    if change.kind == "new_field" or drift.contract.column(change.field).pii is not None:
        return masked(drift.value)
    text = msgspec.json.encode(drift.value).decode()
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def masked(value: object) -> str:
    """Return the kind of a JSON value, and the length of what has one.

    Args:
        value: as the JSON text held it.
    """
    match value:
        case None:
            kind = "null"
        case bool():
            kind = "boolean"
        case int() | float():
            kind = "number"
        case str():
            kind = f"string({len(value)})"
        case list():
            kind = f"array({len(value)})"
        case dict():
            kind = f"object({len(value)})"
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")
    return kind
