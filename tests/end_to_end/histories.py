"""Random histories of rows, delivered badly, and the truth they must end in.

Each history is one story of a few rows: inserts, updates, deletes, re-inserts, moves to another key. Many
histories share the tables, their keys kept apart, and one clock: positions in the source's log. What arrives
is shuffled, repeated and cut into increments without any regard for that order.
"""

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import strategies as st

from core.contracts import Contracts, TableContract
from devstack.live.rows import random_row
from devstack.world import Change, Key, Message, Row, encode, encode_key

TABLES = ("members", "member_emails", "member_preferences", "member_cases")
TRUNCATED = "member_emails"

_KEYS_OF_A_HISTORY = 4
_BEGINNING = datetime(2026, 1, 5, tzinfo=UTC)

Verb = Literal["write", "delete", "move"]


@dataclass(frozen=True)
class Step:
    """One thing that happens to one row.

    Attributes:
        verb: `write` inserts or updates, `delete` deletes, `move` gives the row the next key.
        row: which of the history's rows.
        seed: what the new values come from.
    """

    verb: Verb
    row: int
    seed: int


@dataclass(frozen=True)
class History:
    """A story of a few rows of one table.

    Attributes:
        table: the table.
        steps: what happens, in the source's order.
    """

    table: str
    steps: tuple[Step, ...]


steps = st.builds(
    Step,
    verb=st.sampled_from(["write", "write", "write", "delete", "move"]),
    row=st.integers(0, _KEYS_OF_A_HISTORY - 1),
    seed=st.integers(0, 2**16),
)
histories = st.builds(History, table=st.sampled_from(TABLES), steps=st.lists(steps, min_size=1, max_size=10).map(tuple))

Tables = dict[str, dict[Key, Row]]


class Source:
    """A database that histories happen in, and that logs every change.

    Args:
        contracts: its tables.
    """

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._position = 1_000
        self.tables: Tables = {name: {} for name in TABLES}
        self.log: list[Change] = []

    def apply(self, history: int, table: str, step: Step) -> None:
        """Let a step happen; one that makes no sense, such as deleting nothing, changes nothing."""
        contract = self._contracts[table]
        key = _key(contract, history, step.row)
        rows = self.tables[table]
        if step.verb == "write":
            after = random_row(contract, key, random.Random(step.seed))
            row = _world_row(contract, after)
            self._change(contract, "u" if key in rows else "c", key, rows.get(key), row)
        elif key in rows:
            before = rows[key]
            self._change(contract, "d", key, before, None)
            if step.verb == "move":
                self._move(contract, before, _key(contract, history, (step.row + 1) % _KEYS_OF_A_HISTORY))

    def truncate(self, table: str) -> None:
        """Empty a table in one stroke."""
        self.tables[table].clear()
        self._log(table, "t", (), None, None)

    def _move(self, contract: TableContract, row: Row, key: Key) -> None:
        if key in self.tables[contract.name]:
            return
        # A change of the key is told as a delete and a create at one position.
        self._position -= 10
        names = [column.name for column in contract.key]
        self._change(contract, "c", key, None, {**row, **dict(zip(names, key, strict=True))})

    def _change(self, contract: TableContract, op: Any, key: Key, before: Row | None, after: Row | None) -> None:
        rows = self.tables[contract.name]
        if after is None:
            del rows[key]
        else:
            rows[key] = after
        self._log(contract.name, op, key, before, after)

    def _log(self, table: str, op: Any, key: Key, before: Row | None, after: Row | None) -> None:
        self._position += 10
        self.log.append(
            Change(
                table=table,
                op=op,
                key=key,
                before=before,
                after=after,
                position=self._position,
                sequence=1,
                table_sequence=1,
                transaction_id=self._position,
                event_time=_BEGINNING + timedelta(milliseconds=self._position),
            )
        )


def live(contracts: Contracts, stories: Sequence[History], chooser: random.Random, truncates: int) -> Source:
    """Let all histories happen at once, each in its own order, with truncates in between.

    Args:
        contracts: the tables.
        stories: the histories; the place of each keeps its keys apart.
        chooser: how they interleave.
        truncates: how often `TRUNCATED` is emptied.

    Returns:
        The source at the end, with its log.
    """
    source = Source(contracts)
    queues = {number: list(story.steps) for number, story in enumerate(stories)}
    total = sum(map(len, queues.values()))
    truncate_at = {total * (turn + 1) // (truncates + 1) for turn in range(truncates)}
    for turn in range(total):
        if turn in truncate_at:
            source.truncate(TRUNCATED)
        number = chooser.choice(list(queues))
        source.apply(number, stories[number].table, queues[number].pop(0))
        if not queues[number]:
            del queues[number]
    return source


def deliver(
    contracts: Contracts, log: Sequence[Change], chooser: random.Random, increments: int
) -> list[list[Message]]:
    """Turn a log into messages and deliver them badly.

    Args:
        contracts: the tables.
        log: the changes, in the source's order.
        chooser: where each message and its copies go.
        increments: into how many parts they are cut.

    Returns:
        The messages of each increment, in the order of delivery.
    """
    parts: list[list[Message]] = [[] for _ in range(increments)]
    for change in log:
        for message in _messages(contracts[change.table], change, chooser):
            for _ in range(chooser.choice((1, 1, 1, 2, 3))):
                chooser.choice(parts).append(message)
    for part in parts:
        chooser.shuffle(part)
    return parts


def _messages(contract: TableContract, change: Change, chooser: random.Random) -> Iterator[Message]:
    ordering_key = encode_key(contract, change.key)
    data = encode(contract, change, with_schema=chooser.random() < 0.2)
    yield Message(contract.topic, data, ordering_key, change.event_time, "event")
    if change.op == "d":
        attributes = {"tombstone": "true"}
        yield Message(contract.topic, b"", ordering_key, change.event_time, "tombstone", attributes=attributes)


def _key(contract: TableContract, history: int, row: int) -> Key:
    first, *rest = contract.key
    del first
    number = history * _KEYS_OF_A_HISTORY + row + 1
    return (number, *(column.allowed_values[row % len(column.allowed_values)] for column in rest))


def _world_row(contract: TableContract, row: Mapping[str, Any]) -> Row:
    """Return a row in the generator's value kinds: JSON as text, arrays as tuples, no values JSON cannot hold."""
    plain: dict[str, Any] = {}
    for column in contract.columns:
        value = row[column.name]
        if column.data_type == "json" and value is not None:
            value = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, float) and not math.isfinite(value):
            value = 0.5
        plain[column.name] = value
    return plain
