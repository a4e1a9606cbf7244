"""What sets a payload apart from its contract."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from core.contracts import Column, TableContract
from ingest.drift.forms import fits, seen_type

Kind = Literal["new_field", "missing_field", "type_changed"]

FULL_IMAGES: Final = frozenset({"INSERT", "SNAPSHOT", "UPSERT"})
"""Operations whose payload holds every column; an update may tell only what it changed."""


class Change(msgspec.Struct, frozen=True):
    """One way in which a payload does not fit its contract.

    Attributes:
        kind: what changed.
        field: the field it happened to.
        expected: the contract's type; None for a new field.
        seen: the type the value looks like; None for a missing field.
    """

    kind: Kind
    field: str
    expected: str | None
    seen: str | None

    def __str__(self) -> str:
        """Say it in words, without the value."""
        match self.kind:
            case "new_field":
                return f"new field {self.field!r}"
            case "missing_field":
                return f"no field {self.field!r}"
            case _:
                return f"field {self.field!r} looks like {self.seen}, not {self.expected}"


def compare(contract: TableContract, payload: Mapping[str, object], *, is_full: bool) -> list[Change]:
    """Hold a payload against its contract.

    Args:
        contract: what should come.
        payload: what came.
        is_full: whether the payload holds every column; else nothing counts as missing.

    Returns:
        The changes: new fields in the payload's order, then the rest in the contract's.
    """
    declared = {column.name for column in contract.columns}
    changes = [
        Change("new_field", name, None, seen_type(name, value))
        for name, value in payload.items()
        if name not in declared
    ]
    for column in contract.columns:
        if column.name in payload:
            changes += _retyped(column, payload[column.name])
        elif is_full:
            changes.append(Change("missing_field", column.name, column.data_type, None))
    return changes


def _retyped(column: Column, value: object) -> list[Change]:
    if fits(column.data_type, value):
        return []
    return [Change("type_changed", column.name, column.data_type, seen_type(column.name, value))]
