"""What structure must hold, worked out one event after the other, as the source itself went from state to state."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from structure_events import Event, Key, Row
from structure_histories import WRONG

from core.contracts import Column, Contracts, TableContract

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Held:
    """What is known of a row.

    Attributes:
        image: value by column; a column nobody has told yet is null.
        last: the change that made it what it is.
        truncated: whether a truncate has deleted it since.
    """

    image: Row
    last: Event
    truncated: bool = False


@dataclass
class Table:
    """A table that takes events in the source's order.

    Attributes:
        contract: its columns.
        rows: what is held, by key.
    """

    contract: TableContract
    rows: dict[Key, Held] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Apply one event."""
        if event.op == "TRUNCATE":
            for held in self.rows.values():
                held.truncated = held.truncated or held.last.op != "DELETE"
            return
        assert event.key is not None
        former = self.rows[event.key].image if event.key in self.rows else {}
        names = [column.name for column in self.contract.columns]
        told = event.before if event.op == "DELETE" else event.after
        if event.op == "DELETE" and not self._is_whole(told):
            told = former
        told = told or {}
        image = {name: former.get(name) if name in event.omitted else told.get(name) for name in names}
        image |= dict(zip((column.name for column in self.contract.key), event.key, strict=True))
        self.rows[event.key] = Held(image, event)

    def _is_whole(self, row: Row | None) -> bool:
        required = [c.name for c in self.contract.columns if not c.is_key and not c.is_nullable]
        return row is not None and all(row.get(name) is not None for name in required)

    def expected(self) -> dict[Key, Row]:
        """Return the rows of the structure table, by key."""
        return {key: _structure_row(held) for key, held in self.rows.items()}


@dataclass(frozen=True)
class Erasure:
    """A member who was erased when some events had landed.

    Attributes:
        member_id: the member.
        keys: the keys of their rows that were known by then, as table and key.
    """

    member_id: int
    keys: frozenset[tuple[str, Key | None]]

    @classmethod
    def of(cls, member_id: int, landed: Iterable[Event]) -> "Erasure":
        """Return the erasure of a member, which notes the key of every row that said it was theirs."""
        theirs = (event for event in landed if event.broken is None and event.key is not None)
        told = ((event, image) for event in theirs for image in (event.after, event.before) if image is not None)
        return cls(member_id, frozenset((e.table, e.key) for e, image in told if image.get("member_id") == member_id))

    def spares(self, event: Event) -> bool:
        """Say whether an event may be applied, whenever it lands."""
        image = event.before if event.op == "DELETE" else event.after
        is_theirs = event.broken is None and (image or {}).get("member_id") == self.member_id
        return not is_theirs and (event.table, event.key) not in self.keys


def state(contract: TableContract, events: Iterable[Event]) -> dict[Key, Row]:
    """Return what structure must hold of a table, whatever the order in which the events come.

    Args:
        contract: the table.
        events: what has landed; other tables' events, repeats and unreadable rows among them.

    Returns:
        Row by key.
    """
    table = Table(contract)
    ours = [e for e in events if e.table == contract.name and e.position is not None and e.broken is None]
    seen: set[tuple[Any, ...]] = set()
    for event in sorted(ours, key=lambda e: (_order(e), e.landed_at)):
        identity = (_order(event), event.key)
        if identity not in seen:
            seen.add(identity)
            table.take(event)
    return table.expected()


def values_left_out(contracts: Contracts, events: Iterable[Event]) -> Counter[tuple[str, ...]]:
    """Return the values that quarantine must hold, each once however often its change is delivered.

    Args:
        contracts: the tables.
        events: what has landed.

    Returns:
        How often each combination of table, message, column, type, text and reason must stand there.
    """
    found = {
        (event.table, event.event_id, name, *_wrong(contracts[event.table].column(name), value))
        for event in events
        if event.broken is None
        for name, value in event.uncast.items()
    }
    return Counter(found)


def _wrong(column: Column, value: Any) -> tuple[str, str, str]:
    (text, reason) = next((text, reason) for wrong, text, reason in WRONG[column.data_type] if wrong == value)
    return column.data_type, f"[{column.pii}]" if column.pii else text, reason


def _order(event: Event) -> tuple[Any, ...]:
    return (event.position, event.sequence or 0, event.happened_at or _NEVER, event.op == "DELETE")


def _structure_row(held: Held) -> Row:
    return {
        **held.image,
        "is_deleted": held.truncated or held.last.op == "DELETE",
        "_op": "TRUNCATE" if held.truncated else held.last.op,
        "_source_ts": held.last.happened_at,
        "_source_position": f"{held.last.position:020d}",
        "_source_sequence": held.last.sequence,
        "_event_id": held.last.event_id,
    }


def differences(expected: Mapping[Key, Row], found: Mapping[Key, Row]) -> list[str]:
    """Name every column that is not as expected, but only columns that are expected at all."""
    missing = [f"{key}: {'missing' if key in expected else 'too many'}" for key in expected.keys() ^ found.keys()]
    return missing + [
        f"{key} {name}: {found[key].get(name)!r} instead of {value!r}"
        for key in sorted(expected.keys() & found.keys(), key=repr)
        for name, value in expected[key].items()
        if name not in found[key] or found[key][name] != value
    ]
