"""How much of each difficulty a generated world holds."""

from dataclasses import dataclass, fields

from core.errors import ConfigurationError


@dataclass(frozen=True)
class Shares:
    """The world's tunables: each is a share between 0 and 1 unless it says otherwise.

    Attributes:
        snapshot_members: members that exist before the capture begins; their rows come as snapshot reads.
        api_members: members told of by notification and API only, never by a change event.
        edge_rows: new or changed rows in which one column takes an edge value of its type.
        null_rows: new or changed rows in which one nullable column is emptied.
        long_texts: biographies and case texts of 2 to 20 kB; all others are short.
        duplicates: messages sent again, the very same bytes, soon or in a later round.
        reordered: messages that arrive up to `disorder_distance` messages after their place, also past
            later changes of the same key.
        disorder_distance: the longest way a reordered or duplicated message falls behind, in messages.
        late: messages held back to a later round.
        redelivery_runs: restarts of the capture a round, each sending a run of past messages again; a count.
        redelivery_length: longest such run, in messages.
        schema_wrapped: events in the JSON converter's `{"schema", "payload"}` wrapper.
        traced: messages that carry a W3C `traceparent` attribute.
        transaction_markers: transactions told of by BEGIN and END messages.
        heartbeat_every: one heartbeat after this many messages; 0 for none.
        poison: messages, over and above the changes, that nobody can decode. At least one of each kind.
        notification_duplicates: notifications sent twice.
        notification_stale: notifications sent again after a newer one for the same row, if there is one.
        notification_never_there: notifications, over and above the changes, of rows that never existed.
        notification_sets: changes, of those told of by notification and of a table that the API serves in sets, that
            are told of by a notification of their set alone, such as all addresses of a member.
        unavailable: rows with long text whose unchanged long text comes as Debezium's marker for unchanged
            TOAST values. All events of such a row keep their order, since the marker refers to the row
            before; the tables concerned then have the replica identity DEFAULT, as only that yields markers.
    """

    snapshot_members: float = 0.35
    api_members: float = 0.02
    edge_rows: float = 0.05
    null_rows: float = 0.08
    long_texts: float = 0.02
    duplicates: float = 0.03
    reordered: float = 0.05
    disorder_distance: int = 2_000
    late: float = 0.01
    redelivery_runs: int = 2
    redelivery_length: int = 200
    schema_wrapped: float = 0.05
    traced: float = 0.01
    transaction_markers: float = 0.01
    heartbeat_every: int = 2_000
    poison: float = 0.000_5
    notification_duplicates: float = 0.15
    notification_stale: float = 0.05
    notification_never_there: float = 0.02
    notification_sets: float = 0.3
    unavailable: float = 0.0

    def __post_init__(self) -> None:
        for tunable in fields(self):
            value = getattr(self, tunable.name)
            if value < 0 or (isinstance(value, float) and value > 1):
                raise ConfigurationError(f"{tunable.name} is {value}: use a share between 0 and 1, or a count from 0")
        if self.disorder_distance < 1 or self.redelivery_length < 1:
            raise ConfigurationError("disorder_distance and redelivery_length must be at least 1 message")


ORDERLY = Shares(
    edge_rows=0,
    null_rows=0,
    duplicates=0,
    reordered=0,
    late=0,
    redelivery_runs=0,
    poison=0,
    notification_duplicates=0,
    notification_stale=0,
    notification_never_there=0,
    notification_sets=0,
)
"""A world in which every message comes once, in order and at once."""
