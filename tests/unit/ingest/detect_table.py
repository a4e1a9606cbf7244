"""A raw table in memory for the tests of change detection, and rows on their way to it."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.contracts import TableContract, load_contracts
from ingest.detect.state import NO_CHANGE, Known, fingerprint_of, order_of
from ingest.message import Message
from ingest.row import Landing, RawRow

EMAILS = load_contracts(Path("dbt_project/models/raw"))["member_emails"]
UPSERTS = replace(EMAILS, pattern="upsert", notification_topic=None)

_numbers = itertools.count(1)


def landing(key: int, position: int, content: object = "a", op: str = "UPSERT", **fields: object) -> Landing:
    """A row on its way; `content` None is a row that is gone."""
    number = next(_numbers)
    payload = None if content is None or op == "DELETE" else json.dumps({"email_id": key, "email": content}).encode()
    row = RawRow(
        op=op,
        op_inferred=op == "UPSERT",
        source_system="s",
        source_table="member_emails",
        event_id=f"event-{number}",
        load_id="run",
        publish_ts=number,
        key=f'{{"email_id":{key}}}'.encode(),
        payload=payload,
        source_position=f"{position:020d}",
        source_sequence=0,
    )
    for name, value in fields.items():
        setattr(row, name, value)
    return Landing(Message("projects/p/subscriptions/s", "topic", row.event_id, b""), row)


def label(row: RawRow) -> str:
    """What a reader of the raw table takes the row for."""
    if row.op == "UPDATE" and row.op_inferred and row.before is not None and row.before == row.payload:
        return NO_CHANGE
    return row.op


@dataclass
class Table:
    """What has landed, in the order of landing."""

    rows: list[RawRow] = field(default_factory=list)
    questions: list[list[bytes]] = field(default_factory=list)

    def append(self, landings: Sequence[Landing]) -> None:
        self.rows += [one.row for one in landings]

    def newest(self, key: bytes | None) -> RawRow | None:
        """The newest change of a row; of two deliveries of one change the first."""
        return max((row for row in self.rows if row.key == key), key=order_of, default=None)

    async def latest(self, _: TableContract, keys: Sequence[bytes]) -> Mapping[bytes, Known]:
        self.questions.append(list(keys))
        found = {}
        for key in keys:
            row = self.newest(key)
            if row is not None:
                found[key] = Known(order_of(row), label(row), fingerprint_of(row.payload))
        return found


@dataclass
class Oracle:
    """Knows every row ever sent and which of them have landed, and looks through all of them each time."""

    landed: list[RawRow] = field(default_factory=list)
    flying: list[RawRow] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def expect(self, batch: list[RawRow]) -> dict[str, str]:
        expected = {}
        for row in sorted(batch, key=order_of):
            expected[row.event_id] = self.labels[row.event_id] = self._expect(row)
            self.flying.append(row)
        return expected

    def see(self, batch: list[Landing], *, has_landed: bool) -> None:
        for one in batch:
            self.flying.remove(one.row)
        self.landed += [one.row for one in batch if has_landed]

    def _expect(self, row: RawRow) -> str:
        if row.payload is None:
            return "DELETE"
        former = [one for one in self.landed + self.flying if one.key == row.key]
        if not former:
            return "INSERT"
        newest = max(former, key=order_of)
        if order_of(row) == order_of(newest):
            return self.labels[newest.event_id]
        if order_of(row) < order_of(newest):
            return "UPDATE"
        if newest.payload is None:
            return "INSERT"
        is_sure = not any(one.key == row.key for one in self.flying)
        same = json.loads(newest.payload) == json.loads(row.payload or b"{}")
        return NO_CHANGE if same and is_sure else "UPDATE"
