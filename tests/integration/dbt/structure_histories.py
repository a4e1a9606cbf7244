"""Random histories of rows, and a delivery that shuffles, repeats, splits and spoils them."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from structure_events import Event, Key, Operation, Row

from core.contracts import TableContract
from devstack.live.rows import random_row

BEGINNING = datetime(2024, 1, 5, tzinfo=UTC)
"""When the first raw row lands; long ago, so that no clock can make it the future."""

_INCREMENT = timedelta(minutes=20)
_LANDING = timedelta(minutes=18)
_LATE_TO_BE_SEEN = timedelta(minutes=8)
_VERY_LATE = timedelta(days=60)
_ROWS = 3
_OMISSIBLE = ("string", "bytes", "json", "array<string>")
WRONG: Final[Mapping[str, Sequence[tuple[Any, str, str]]]] = {
    "string": [({"a": 1}, '{"a":1}', "is_no_scalar")],
    "int64": [("seven", "seven", "does_not_cast"), (2**63, str(2**63), "out_of_range")],
    "numeric": [("1,5", "1,5", "does_not_cast"), ("1e40", "1e40", "out_of_range")],
    "float64": [("warm", "warm", "does_not_cast")],
    "bool": [("perhaps", "perhaps", "does_not_cast")],
    "bytes": [("!", "!", "does_not_cast")],
    "date": [("2026-02-30", "2026-02-30", "invalid_date"), (2**31 - 1, str(2**31 - 1), "out_of_range")],
    "timestamp": [("then", "then", "does_not_cast"), ("2026-13-01T00:00:00Z", "2026-13-01T00:00:00Z", "invalid_date")],
    "array<string>": [("a, b", "a, b", "is_no_array")],
}
"""Values that do not cast to a type, each with its text and why not."""
_BROKEN = ("{not json", '"text"', "[1, 2]", "null")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens to a table as a whole, while its rows live.

    Attributes:
        number: how many histories of three rows each.
        truncates: how often the table is emptied.
        dumps: how often it is sent as a whole, with a deletion for each row that has gone without a word.
        omits: types of the columns that an update may leave out.
        new_column: a column that the source gets in mid-history; before, no image tells of it.
        uncast: share of the inserts and updates in which a column that may be null has a value that does not cast.
    """

    number: int
    truncates: int = 0
    dumps: int = 0
    omits: Sequence[str] = _OMISSIBLE
    new_column: str | None = None
    uncast: float = 0.0


class Source:
    """A table of a database, with the log of its changes.

    Args:
        contract: the table.
        chooser: what happens.
        plan: what may happen.
    """

    def __init__(self, contract: TableContract, chooser: random.Random, plan: Plan) -> None:
        self.contract = contract
        self.log: list[Event] = []
        self.evolved_at: int | None = None
        self._chooser = chooser
        self._positions = count(1_000)
        self._omits = plan.omits
        self._missing = plan.new_column
        self._uncast = plan.uncast
        self._spoiler = random.Random(f"{contract.name} spoilt")  # of its own: other choices stay what they are
        self._rows: dict[Key, Row] = {}

    def happen(self, steps: int, keys: Sequence[Key]) -> None:
        """Let random things happen to rows of these keys."""
        for _ in range(steps):
            key = self._chooser.choice(keys)
            if key not in self._rows:
                self._write("INSERT", key, self._random_row(key), frozenset())
            elif self._chooser.random() < 0.3:
                self._delete(key)
            else:
                self._update(key)

    def truncate(self) -> None:
        """Empty the table in one stroke."""
        self._rows.clear()
        self._record("TRUNCATE")

    def dump(self) -> None:
        """Send the whole table, as a source does that tells of no change: what it does not hold any more is deleted."""
        gone = [key for key in self._rows if self._chooser.random() < 0.2]
        for key in gone:
            del self._rows[key]
        position = next(self._positions)
        changes = [self._event("UPDATE", position, None, key=key, after=dict(row)) for key, row in self._rows.items()]
        deletions = [self._event("DELETE", position, None, key=key) for key in gone]
        dumped = [replace(event, happened_at=None, inferred=True) for event in (*changes, *deletions)]
        first = len(self.log)
        self.log += [replace(event, event_id=f"{self.contract.name}-{n}") for n, event in enumerate(dumped, first)]

    def evolve(self) -> None:
        """Add the new column: from now on, images tell it."""
        self._missing = None
        self.evolved_at = len(self.log)

    def _random_row(self, key: Key) -> Row:
        """Return a row of the member whose history it is; the column that is not there yet is null."""
        row = random_row(self.contract, key, self._chooser) | dict(zip(self._key_names(), key, strict=True))
        if "member_id" in row and "member_id" not in self._key_names():
            row["member_id"] = member_of(key)
        return {name: value for name, value in row.items() if name != self._missing}

    def _key_names(self) -> list[str]:
        return [column.name for column in self.contract.key]

    def _update(self, key: Key) -> None:
        former, after = self._rows[key], self._random_row(key)
        large = [c.name for c in self.contract.columns if c.data_type in self._omits and not c.is_key]
        unchanged = frozenset(name for name in large if self._chooser.random() < 0.3)
        omitted = frozenset(name for name in unchanged if former.get(name) is not None and former[name] != [])
        self._write("UPDATE", key, after | {name: former[name] for name in omitted}, omitted)

    def _write(self, op: Operation, key: Key, after: Row, omitted: frozenset[str]) -> None:
        wrong = self._wrong_value(after.keys() - omitted) if self._spoiler.random() < self._uncast else {}
        self._rows[key] = after = after | {name: self._null(name) for name in wrong}
        self._record(op, key=key, after=after, omitted=omitted)
        if wrong:
            self.log[-1] = replace(self.log[-1], uncast=wrong)

    def _wrong_value(self, told: Collection[str]) -> Row:
        """Return a value that does not cast, by the column that has it."""
        columns = [c for c in self.contract.columns if c.name in told and c.data_type in WRONG]
        column = self._spoiler.choice([c for c in columns if c.is_nullable and not c.is_key])
        return {column.name: self._spoiler.choice(WRONG[column.data_type])[0]}

    def _null(self, name: str) -> Any:
        return [] if self.contract.column(name).data_type.startswith("array") else None

    def _delete(self, key: Key) -> None:
        before = self._rows.pop(key)
        names = self._key_names()
        told: Row | None = self._chooser.choice(
            [before, None, {n: before[n] for n in names}, {n: before[n] if n in names else None for n in before}]
        )
        self._record("DELETE", key=key, before=told)
        self.log.append(replace(self.log[-1], event_id=f"{self.log[-1].event_id}-tombstone", position=None, before=None,
                                happened_at=None, inferred=True))  # fmt: skip

    def _record(
        self,
        op: Operation,
        *,
        key: Key | None = None,
        after: Row | None = None,
        before: Row | None = None,
        omitted: frozenset[str] = frozenset(),
    ) -> None:
        position = next(self._positions)
        # Now and then, two changes share a place in the log and differ in their order there.
        sequence = self._chooser.choice([None, 0, 1, 2])
        if self.log and self._chooser.random() < 0.1 and (last := self.log[-1]).position is not None:
            position, sequence = last.position, (last.sequence or 0) + 1
        event = self._event(op, position, sequence, key=key, after=after, before=before)
        self.log.append(replace(event, omitted=omitted))

    def _event(
        self,
        op: Operation,
        position: int,
        sequence: int | None,
        *,
        key: Key | None = None,
        after: Row | None = None,
        before: Row | None = None,
    ) -> Event:
        return Event(
            table=self.contract.name,
            op=op,
            event_id=f"{self.contract.name}-{len(self.log)}",
            landed_at=BEGINNING,
            key=key,
            position=position,
            sequence=sequence,
            happened_at=BEGINNING + timedelta(seconds=position),
            after=after,
            before=before,
        )


def member_of(key: Key) -> int:
    """Return the member whose history the rows of a key are."""
    return int(key[0]) if len(key) > 1 else (int(key[0]) - 1) // _ROWS + 1


def histories(contract: TableContract, seed: int, plan: Plan) -> Source:
    """Return a source after many histories of a few rows each, in turns, and what happens to all of them between."""
    chooser = random.Random(f"{contract.name}{seed}")
    source = Source(contract, chooser, plan)
    groups = [[_key(contract, history * _ROWS + row) for row in range(_ROWS)] for history in range(plan.number)]
    turns = [group for group in groups for _ in range(3)]
    chooser.shuffle(turns)
    truncate_before = {chooser.randrange(len(turns)) for _ in range(plan.truncates)}
    dump_before = {chooser.randrange(len(turns)) for _ in range(plan.dumps)}
    for turn, group in enumerate(turns):
        if turn in truncate_before:
            source.truncate()
        if turn in dump_before:
            source.dump()
        if turn == len(turns) // 2 and plan.new_column:
            source.evolve()
        source.happen(chooser.randint(1, 4), group)
    return source


def deliver(
    source: Source, seed: int, increments: int, *, replays: bool = False, very_late: float = 0.0
) -> list[list[Event]]:
    """Spread a log over increments, with no regard for its order; some of it twice or thrice, some of it spoilt.

    Args:
        source: whose changes; what tells of a new column comes after the first increment, when the model knows it.
        seed: of the choices.
        increments: into how many parts.
        replays: whether the last part repeats all of the first.
        very_late: share of the deliveries that become visible days after the time they are stamped with.

    Returns:
        The deliveries of each increment.
    """
    chooser = random.Random(seed)
    parts: list[list[Event]] = [[] for _ in range(increments)]
    for number, event in enumerate(source.log):
        # mostly where it belongs in time, sometimes anywhere
        due = number * increments // len(source.log)
        first = due if chooser.random() < 0.7 else chooser.randrange(increments)
        if source.evolved_at is not None and number >= source.evolved_at:
            first = max(first, 1)
        landed = _landing(first, chooser, very_late)
        parts[first].append(replace(event, landed_at=landed))
        for again in (a for a in range(first, increments) if chooser.random() < 0.15):
            parts[again].append(replace(event, landed_at=max(landed, _landing(again, chooser, very_late))))
        if event.after is not None and chooser.random() < 0.03:
            spoilt = replace(event, event_id=f"{event.event_id}-spoilt", broken=chooser.choice(_BROKEN))
            parts[first].append(replace(spoilt, landed_at=landed, position=10**9))
    if replays:
        again = increments - 1
        parts[again] += [replace(e, landed_at=max(e.landed_at, _landing(again, chooser, very_late))) for e in parts[0]]
    for part in parts:
        chooser.shuffle(part)
    return parts


def _landing(increment: int, chooser: random.Random, very_late: float) -> datetime:
    """Return when a row lands: perhaps, as writers overlap or stall, before some that an earlier run has read."""
    start = BEGINNING + increment * _INCREMENT
    if chooser.random() < very_late:
        return start - timedelta(seconds=chooser.randrange(int(_VERY_LATE.total_seconds())))
    return (
        start
        - _LATE_TO_BE_SEEN
        + timedelta(seconds=chooser.randrange(int((_LANDING + _LATE_TO_BE_SEEN).total_seconds())))
    )


def _key(contract: TableContract, number: int) -> Key:
    first, *rest = contract.key
    del first
    return (
        number // _ROWS + 1 if rest else number + 1,
        *(c.allowed_values[number % len(c.allowed_values)] for c in rest),
    )
