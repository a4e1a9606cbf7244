"""What the demo found out, and whether that is good."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

_MAY_BE_EMPTY: Final = frozenset({"structure.quarantine", "structure.erasures"})
"""Nothing is in quarantine when all is well: poison was dead-lettered before it could land. Nobody asks for erasure."""


@dataclass(frozen=True)
class Difference:
    """One difference between warehouse and snapshot, planted or found.

    Attributes:
        table: name of the table.
        key: canonical JSON of the primary key.
        column: name of the column; None for a whole row.
        kind: `missing`, `extra` or `changed`.
    """

    table: str
    key: str
    column: str | None
    kind: str


@dataclass(frozen=True)
class Summary:
    """The result of a demo.

    Attributes:
        members: members in the generated world.
        events_sent: messages published, without control messages.
        control_messages: heartbeats and transaction boundaries published; they are acked, never landed.
        events_published_again: of `events_sent`, those that repeat an earlier event.
        notifications_sent: of `events_sent`, those that only point to the member API.
        sets_sent: notifications of sets published, such as all addresses of a member; like control messages they are
            not among `events_sent`.
        set_rows: rows that landed because a set had changed; they are not among `raw_distinct`.
        poison_sent: of `events_sent`, those that nobody can decode.
        raw_rows: rows in the raw tables.
        raw_distinct: distinct event ids among them, of rows that a message brought.
        dead_lettered: distinct event ids in `audit.dead_letters`.
        dead_letters_by_reason: the same by reason code.
        ingester_kills: how often the ingester was killed in mid-stream.
        increments: how often the zones were built.
        truth_rows: rows that the source ends with.
        tables_reconciled: tables compared with the truth.
        tables_equal: tables among them that are equal, row by row.
        differences_planted: differences written into a copy of the truth.
        differences_found: differences that reconciliation reported on that copy.
        planted_exactly: whether found and planted are the same by table, key, column and kind.
        tests_failed: dbt tests that failed in any increment.
        zones: rows by model.
        seconds: seconds by stage.
        events_per_second: events landed or dead-lettered per second of streaming.
    """

    members: int
    events_sent: int
    control_messages: int
    events_published_again: int
    notifications_sent: int
    sets_sent: int
    set_rows: int
    poison_sent: int
    raw_rows: int
    raw_distinct: int
    dead_lettered: int
    dead_letters_by_reason: dict[str, int]
    ingester_kills: int
    increments: int
    truth_rows: int
    tables_reconciled: int
    tables_equal: int
    differences_planted: int
    differences_found: int
    planted_exactly: bool
    tests_failed: int
    zones: dict[str, int]
    seconds: dict[str, float]
    events_per_second: int
    artifacts: dict[str, str] = field(default_factory=dict)

    @property
    def structure_matches_truth(self) -> bool:
        """Whether every table of the structure zone equals the source."""
        return 0 < self.tables_reconciled == self.tables_equal

    def faults(self) -> list[str]:
        """Return what did not hold, a sentence each; empty when all is well."""
        empty = [name for name, rows in self.zones.items() if rows == 0 and name not in _MAY_BE_EMPTY]
        accounted = self.raw_distinct + self.dead_lettered
        checks = [
            (self.events_sent > 0, "no event was sent"),
            (
                accounted == self.events_sent,
                f"{self.events_sent:,} events were sent but {accounted:,} are landed or dead-lettered",
            ),
            (
                self.dead_lettered == self.poison_sent,
                f"{self.poison_sent:,} poison messages were sent but {self.dead_lettered:,} dead-lettered",
            ),
            (
                self.sets_sent == 0 or self.set_rows > 0,
                f"{self.sets_sent:,} changes of sets were told of but no row of a set landed",
            ),
            (self.ingester_kills > 0, "the ingester was never killed, so its recovery is not shown"),
            (
                self.structure_matches_truth,
                f"{self.tables_equal} of {self.tables_reconciled} structure tables equal the truth",
            ),
            (
                self.planted_exactly and self.differences_planted > 0,
                (
                    f"{self.differences_planted} differences were planted but {self.differences_found} found, "
                    "or others than those"
                ),
            ),
            (self.tests_failed == 0, f"{self.tests_failed} dbt tests failed"),
            (bool(self.zones) and not empty, f"nothing is in {', '.join(empty) or 'any zone'}"),
        ]
        return [fault for holds, fault in checks if not holds]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `summary.json`: every attribute, with `ok` computed from them."""
        faults = self.faults()
        return {
            "ok": not faults,
            "faults": faults,
            "structure_matches_truth": self.structure_matches_truth,
            **asdict(self),
        }
