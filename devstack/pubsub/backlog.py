"""The messages of one subscription that wait for a consumer, and the lanes that keep ordering keys in order.

Everything deliverable stands in one queue in order of publication. An ordering key has a lane only while
something of it was delivered and not settled, or rests before a redelivery:

* `run` holds what was delivered, in order. It goes to one holder; entries acknowledged out of turn stay
  until everything before them is acknowledged, because a redelivery repeats all that follows
  (https://cloud.google.com/pubsub/docs/ordering).
* `parked` holds what must follow the run and met the wrong consumer, or what rests before a redelivery.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import islice

from devstack.pubsub.model import Consumer, Entry


class _Lane:
    """One ordering key with something delivered or resting."""

    __slots__ = ("holder", "key", "parked", "resting_until", "run")

    def __init__(self, key: str) -> None:
        self.key = key
        self.run: deque[Entry] = deque()
        self.parked: deque[Entry] = deque()
        self.holder: object = None
        self.resting_until = 0

    def open_to(self, holder: object) -> bool:
        return not self.parked and (not self.run or self.holder is holder or self.holder == holder)

    def deliver(self, entry: Entry, holder: object) -> None:
        self.holder = holder
        self.run.append(entry)


class Backlog:
    """What waits, in the order it is to be delivered."""

    def __init__(self, *, ordered: bool) -> None:
        """Starts empty.

        Args:
            ordered: whether ordering keys matter.
        """
        self._ordered = ordered
        self._ready: deque[Entry] = deque()
        self._lanes: dict[str, _Lane] = {}
        self._parked_for: dict[object, dict[str, _Lane]] = {}
        self._resting: list[tuple[int, int, Entry | _Lane]] = []
        self._rests = 0

    def push(self, entry: Entry) -> None:
        """Adds a message at the end."""
        self._ready.append(entry)

    def take(self, consumer: Consumer, limit: int, max_bytes: int) -> list[Entry]:
        """Takes the next messages this consumer may have, and charges it for them.

        Args:
            consumer: whose flow control and ordering keys decide.
            limit: most messages to take.
            max_bytes: stop when the messages together reach this size.

        Returns:
            The entries, in order; empty when there is nothing for this consumer.
        """
        batch: list[Entry] = []
        room = max_bytes
        for lane in self._lanes_parked_for(consumer.holder):
            while lane.parked and room > 0 and len(batch) < limit and consumer.admits(lane.parked[0].message):
                entry = lane.parked.popleft()
                lane.deliver(entry, consumer.holder)
                room -= self._charge(consumer, entry, batch)
            self._reopen(lane)
        ready = self._ready
        while ready and room > 0 and len(batch) < limit:
            entry = ready[0]
            if entry.acked:
                ready.popleft()
                continue
            lane_or_none = self._lane_of(entry)
            if lane_or_none is not None and not lane_or_none.open_to(consumer.holder):
                ready.popleft()
                lane_or_none.parked.append(entry)
                self._reopen(lane_or_none)
                continue
            if not consumer.admits(entry.message):
                break
            ready.popleft()
            if self._ordered and entry.message.ordering_key:
                self._enter_lane(lane_or_none, entry, consumer.holder)
            room -= self._charge(consumer, entry, batch)
        return batch

    def is_next_to_settle(self, entry: Entry) -> bool:
        """Returns whether everything delivered before this entry under its key is settled."""
        lane = self._lane_of(entry)
        return lane is None or lane.run[0] is entry

    def settle(self, entry: Entry) -> list[Entry]:
        """Marks an entry acknowledged.

        Returns:
            The entries that are done with: this one, unless an earlier one of its key is still open, and
            later ones that only waited for it.
        """
        entry.acked = True
        lane = self._lane_of(entry)
        return [entry] if lane is None else self._settle_head(lane)

    def drop(self, entry: Entry) -> list[Entry]:
        """Removes a delivered entry for good, without waiting for earlier ones of its key.

        Returns:
            The acknowledged entries that only waited for it, and are done with.
        """
        entry.acked = True
        lane = self._lane_of(entry)
        if lane is None:
            return []
        lane.run.remove(entry)
        return self._settle_head(lane)

    def put_back(self, entry: Entry, ready_at: int | None) -> list[Entry]:
        """Returns a delivered entry, and all that was delivered after it under its key, to the queue.

        Args:
            entry: the entry whose delivery failed.
            ready_at: when it may be delivered again; None for at once.

        Returns:
            The entries put back, whose leases are to be ended.
        """
        lane = self._lane_of(entry)
        if lane is None:
            if ready_at is None:
                self._ready.append(entry)
            else:
                self._rest(ready_at, entry)
            return [entry]
        tail = list(islice(lane.run, lane.run.index(entry), None))
        for later in reversed(tail):
            lane.run.pop()
            later.acked = False
            lane.parked.appendleft(later)
        if ready_at is not None:
            lane.resting_until = max(lane.resting_until, ready_at)
            self._rest(ready_at, lane)
        self._reopen(lane)
        return tail

    def wake(self, now: int) -> bool:
        """Makes deliverable what has rested long enough, and returns whether there was anything."""
        woken = False
        while self._resting and self._resting[0][0] <= now:
            sleeper = heapq.heappop(self._resting)[2]
            if isinstance(sleeper, Entry):
                self._ready.append(sleeper)
            elif 0 < sleeper.resting_until <= now:
                sleeper.resting_until = 0
                self._reopen(sleeper)
            woken = True
        return woken

    def next_wake(self) -> int | None:
        """Returns when the next resting message becomes deliverable."""
        return self._resting[0][0] if self._resting else None

    def pop_older_than(self, publish_time: int) -> Iterator[Entry]:
        """Removes and yields messages at the head of the queue that were published before a moment."""
        while self._ready and (self._ready[0].acked or self._ready[0].message.publish_time < publish_time):
            entry = self._ready.popleft()
            if not entry.acked:
                yield entry

    def waiting(self) -> Iterator[Entry]:
        """Yields every entry that is not acknowledged, delivered ones with an ordering key included."""
        sleepers = (sleeper for _, _, sleeper in self._resting)
        yield from (entry for entry in self._ready if not entry.acked)
        yield from (entry for entry in sleepers if isinstance(entry, Entry) and not entry.acked)
        for lane in self._lanes.values():
            yield from lane.run
            yield from lane.parked

    def _settle_head(self, lane: _Lane) -> list[Entry]:
        done = []
        while lane.run and lane.run[0].acked:
            done.append(lane.run.popleft())
        self._reopen(lane)
        return done

    def _charge(self, consumer: Consumer, entry: Entry, batch: list[Entry]) -> int:
        consumer.charge(entry.message)
        batch.append(entry)
        return len(entry.message.encoded)

    def _enter_lane(self, lane: _Lane | None, entry: Entry, holder: object) -> None:
        if lane is None:
            key = entry.message.ordering_key
            lane = self._lanes[key] = _Lane(key)
        lane.deliver(entry, holder)

    def _lane_of(self, entry: Entry) -> _Lane | None:
        return self._lanes.get(entry.message.ordering_key) if self._lanes else None

    def _lanes_parked_for(self, holder: object) -> list[_Lane]:
        return list(self._parked_for[holder].values()) if holder in self._parked_for else []

    def _rest(self, ready_at: int, sleeper: Entry | _Lane) -> None:
        self._rests += 1
        heapq.heappush(self._resting, (ready_at, self._rests, sleeper))

    def _reopen(self, lane: _Lane) -> None:
        """Brings a lane that has changed to the place its state asks for."""
        self._unpark(lane)
        if lane.resting_until:
            return
        if lane.run:
            if lane.parked:
                self._parked_for.setdefault(lane.holder, {})[lane.key] = lane
            return
        self._ready.extendleft(reversed(lane.parked))
        lane.parked.clear()
        self._lanes.pop(lane.key, None)

    def _unpark(self, lane: _Lane) -> None:
        lanes = self._parked_for.get(lane.holder)
        if lanes is not None and lanes.pop(lane.key, None) is not None and not lanes:
            del self._parked_for[lane.holder]
