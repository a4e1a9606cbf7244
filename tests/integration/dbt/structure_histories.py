"""Random histories of rows, and a delivery that shuffles, repeats, splits and spoils them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from structure_events import Event, Key, Row

from core.contracts import TableContract
from devstack.live.rows import random_row

BEGINNING = datetime(2024, 1, 5, tzinfo=UTC)
"""When the first raw row lands; long ago, so that no clock can make it the future."""

_INCREMENT = timedelta(minutes=20)
_LANDING = timedelta(minutes=18)
_LATE_TO_BE_SEEN = timedelta(minutes=8)
_OMISSIBLE = ("string", "bytes", "json", "array<string>")
_BROKEN = ("{not json", '"text"', "[1, 2]", "null")


class Source:
    """A table of a database, with the log of its changes.

    Args:
        contract: the table.
        chooser: what happens.
        positions: places in the log, shared by all tables.
        omits: types of the columns that an update may leave out.
    """

    def __init__(
        self,
        contract: TableContract,
        chooser: random.Random,
        positions: Iterator[int],
        omits: Sequence[str] = _OMISSIBLE,
    ) -> None:
        self.contract = contract
        self.log: list[Event] = []
        self._chooser = chooser
        self._positions = positions
        self._omits = omits
        self._rows: dict[Key, Row] = {}

    def happen(self, steps: int, keys: Sequence[Key]) -> None:
        """Let random things happen to rows of these keys."""
        for _ in range(steps):
            key = self._chooser.choice(keys)
            if key not in self._rows:
                self._write("INSERT", key, random_row(self.contract, key, self._chooser), frozenset())
            elif self._chooser.random() < 0.3:
                self._delete(key)
            else:
                self._update(key)

    def truncate(self) -> None:
        """Empty the table in one stroke."""
        self._rows.clear()
        self._record("TRUNCATE")

    def _update(self, key: Key) -> None:
        former, after = self._rows[key], random_row(self.contract, key, self._chooser)
        large = [c.name for c in self.contract.columns if c.data_type in self._omits and not c.is_key]
        unchanged = frozenset(name for name in large if self._chooser.random() < 0.3)
        omitted = frozenset(name for name in unchanged if former[name] is not None and former[name] != [])
        self._write("UPDATE", key, after | {name: former[name] for name in omitted}, omitted)

    def _write(self, op: str, key: Key, after: Row, omitted: frozenset[str]) -> None:
        self._rows[key] = after
        self._record(op, key=key, after=after, omitted=omitted)

    def _delete(self, key: Key) -> None:
        before = self._rows.pop(key)
        names = [column.name for column in self.contract.key]
        told: Row | None = self._chooser.choice(
            [before, None, {n: before[n] for n in names}, {n: before[n] if n in names else None for n in before}]
        )
        self._record("DELETE", key=key, before=told)
        self.log.append(replace(self.log[-1], event_id=f"{self.log[-1].event_id}-tombstone", position=None, before=None,
                                happened_at=None, inferred=True))  # fmt: skip

    def _record(self, op: str, **facts: object) -> None:
        position = next(self._positions)
        # Now and then, two changes share a place in the log and differ in their order there.
        sequence = self._chooser.choice([None, 0, 1, 2])
        if self.log and self._chooser.random() < 0.1 and (last := self.log[-1]).position is not None:
            position, sequence = last.position, (last.sequence or 0) + 1
        self.log.append(
            Event(
                table=self.contract.name,
                op=op,  # type: ignore[arg-type]
                event_id=f"{self.contract.name}-{len(self.log)}",
                landed_at=BEGINNING,
                position=position,
                sequence=sequence,
                happened_at=BEGINNING + timedelta(seconds=position),
                **facts,  # type: ignore[arg-type]
            )
        )


def histories(
    contract: TableContract, seed: int, *, number: int, truncates: int, omits: Sequence[str] = _OMISSIBLE
) -> Source:
    """Return a source after many histories of a few rows each, in turns, with truncates in between."""
    chooser = random.Random(f"{contract.name}{seed}")
    source = Source(contract, chooser, count(1_000), omits)
    groups = [[_key(contract, history * 3 + row) for row in range(3)] for history in range(number)]
    turns = [group for group in groups for _ in range(3)]
    chooser.shuffle(turns)
    truncate_before = {chooser.randrange(len(turns)) for _ in range(truncates)}
    for turn, group in enumerate(turns):
        if turn in truncate_before:
            source.truncate()
        source.happen(chooser.randint(1, 4), group)
    return source


def deliver(log: Sequence[Event], seed: int, increments: int) -> list[list[Event]]:
    """Spread a log over increments, with no regard for its order; some of it twice or thrice, some of it spoilt.

    Args:
        log: changes in the source's order.
        seed: of the choices.
        increments: into how many parts.

    Returns:
        The deliveries of each increment.
    """
    chooser = random.Random(seed)
    parts: list[list[Event]] = [[] for _ in range(increments)]
    for number, event in enumerate(log):
        # mostly where it belongs in time, sometimes anywhere
        due = number * increments // len(log)
        first = due if chooser.random() < 0.7 else chooser.randrange(increments)
        landed = _landing(first, chooser)
        parts[first].append(replace(event, landed_at=landed))
        for again in (a for a in range(first, increments) if chooser.random() < 0.15):
            parts[again].append(replace(event, landed_at=max(landed, _landing(again, chooser))))
        if event.after is not None and chooser.random() < 0.03:
            spoilt = replace(event, event_id=f"{event.event_id}-spoilt", broken=chooser.choice(_BROKEN))
            parts[first].append(replace(spoilt, landed_at=landed, position=10**9))
    for part in parts:
        chooser.shuffle(part)
    return parts


def _landing(increment: int, chooser: random.Random) -> datetime:
    """Return when a row lands: perhaps, as writers overlap, before some that an earlier run has read."""
    start = BEGINNING + increment * _INCREMENT - _LATE_TO_BE_SEEN
    return start + timedelta(seconds=chooser.randrange(int((_LANDING + _LATE_TO_BE_SEEN).total_seconds())))


def _key(contract: TableContract, number: int) -> Key:
    first, *rest = contract.key
    del first
    return (number // 3 + 1 if rest else number + 1, *(c.allowed_values[number % len(c.allowed_values)] for c in rest))
