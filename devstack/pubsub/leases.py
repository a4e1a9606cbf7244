"""The leases of one subscription: which delivery may still be acknowledged, and until when."""

import heapq
from collections.abc import Iterable, Sequence
from typing import Final

from devstack.pubsub.model import Consumer, Entry

_SPARE_IDS: Final = 10_000


class Leases:
    """Deliveries by acknowledgement id, and their deadlines.

    Deadlines are kept in a heap with one item per batch, not per message. An item only says "look at these
    ids then": an entry whose lease was extended or ended meanwhile is passed over. When most of the heap is
    of that kind, it is built anew, so that it does not outgrow the leases.
    """

    def __init__(self, prefix: str) -> None:
        """Starts with no leases.

        Args:
            prefix: opens every id, and must differ between subscriptions and between runs of the server.
        """
        self._prefix = prefix
        self._granted = 0
        self._held: dict[str, Entry] = {}
        self._expired: dict[str, Entry] = {}
        self._deadlines: list[tuple[int, int, list[str]]] = []
        self._batches = 0
        self._watched = 0

    def __len__(self) -> int:
        return len(self._held)

    def grant(self, entries: Sequence[Entry], consumer: Consumer, deadline: int) -> None:
        """Leases entries to a consumer, which has been charged for them, under new ids."""
        granted, prefix, held = self._granted, self._prefix, self._held
        ids = []
        for entry in entries:
            if entry.ack_id:
                self._expired.pop(entry.ack_id, None)
            granted += 1
            entry.ack_id = ack_id = f"{prefix}{granted}"
            entry.deadline = deadline
            entry.consumer = consumer
            held[ack_id] = entry
            ids.append(ack_id)
        self._granted = granted
        self._watch(ids, deadline)

    def find(self, ack_id: str) -> Entry | None:
        """Returns the entry leased under an id, or None when there is no such lease."""
        return self._held.get(ack_id)

    def extend(self, entries: Sequence[Entry], deadline: int) -> None:
        """Moves the deadline of leased entries, to earlier or later."""
        for entry in entries:
            entry.deadline = deadline
        self._watch([entry.ack_id for entry in entries], deadline)

    def end(self, entry: Entry) -> None:
        """Ends a lease and tells its consumer."""
        del self._held[entry.ack_id]
        if entry.consumer is not None:
            entry.consumer.release(entry.message)
            entry.consumer = None

    def remember_expired(self, entry: Entry) -> None:
        """Keeps the id of an ended lease, so that a late acknowledgement still counts until the redelivery."""
        self._expired[entry.ack_id] = entry

    def take_expired(self, ack_id: str) -> Entry | None:
        """Returns the entry whose lease ran out under this id if it was not delivered again, and forgets it."""
        return self._expired.pop(ack_id, None)

    def was_issued(self, ack_id: str) -> bool:
        """Returns whether the id has the form of this subscription's ids, whatever became of it."""
        number = ack_id.removeprefix(self._prefix)
        return number != ack_id and number.isascii() and number.isdigit()

    def due(self, now: int) -> list[Entry]:
        """Returns the leased entries whose deadline has come, in the order of publication."""
        expired = []
        while self._deadlines and self._deadlines[0][0] <= now:
            ids = heapq.heappop(self._deadlines)[2]
            self._watched -= len(ids)
            for ack_id in ids:
                entry = self._held.get(ack_id)
                if entry is not None and entry.deadline <= now:
                    expired.append(entry)
        unique = {entry.ack_id: entry for entry in expired}
        return sorted(unique.values(), key=lambda entry: entry.message.sequence)

    def next_deadline(self) -> int | None:
        """Returns the next moment at which `due` may return something."""
        return self._deadlines[0][0] if self._deadlines else None

    def entries(self) -> Iterable[Entry]:
        """Returns the leased entries."""
        return self._held.values()

    def end_all(self) -> None:
        """Ends every lease, and forgets the expired ones."""
        for entry in list(self._held.values()):
            self.end(entry)
        self._expired.clear()
        self._deadlines.clear()
        self._watched = 0

    def _watch(self, ids: list[str], deadline: int) -> None:
        if ids:
            self._batches += 1
            self._watched += len(ids)
            heapq.heappush(self._deadlines, (deadline, self._batches, ids))
            if self._watched > _SPARE_IDS + 2 * len(self._held):
                self._rebuild()

    def _rebuild(self) -> None:
        by_deadline: dict[int, list[str]] = {}
        for ack_id, entry in self._held.items():
            by_deadline.setdefault(entry.deadline, []).append(ack_id)
        self._deadlines = [
            (deadline, number, ids) for number, (deadline, ids) in enumerate(sorted(by_deadline.items()))
        ]
        self._watched = len(self._held)
