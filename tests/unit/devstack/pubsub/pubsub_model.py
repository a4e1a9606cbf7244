"""A naive model of a subscription: lists that are searched from end to end, and the rules in plain words."""

from dataclasses import dataclass, field

from devstack.pubsub.model import Consumer, Entry, Message, Settings, Verdict


@dataclass
class Record:
    """What the model knows of one published message."""

    message: Message
    holder: object = None
    leased_to: Consumer | None = None
    ack_id: str = ""
    deadline: int = 0
    failures: int = 0
    ready_at: int = 0
    acked: bool = False  # accepted, though an earlier one of its key may still bring it back
    done: bool = False
    late: bool = False  # the lease has run out, and an acknowledgement would still count

    @property
    def leased(self) -> bool:
        return self.leased_to is not None


@dataclass
class Model:
    """All messages of a subscription, in order of publication."""

    settings: Settings
    records: list[Record] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    rests: dict[str, int] = field(default_factory=dict)
    issued: set[str] = field(default_factory=set)

    def key(self, record: Record) -> str:
        return record.message.ordering_key if self.settings.ordered else ""

    def open(self) -> list[Record]:
        return [record for record in self.records if not record.done]

    def of_key(self, key: str) -> list[Record]:
        return [record for record in self.open() if self.key(record) == key]

    def is_deliverable(self, record: Record, consumer: Consumer, now: int) -> bool:
        if record.done or record.leased or record.acked:
            return False
        key = self.key(record)
        if not key:
            return record.ready_at <= now
        if self.rests.get(key, 0) > now:
            return False
        delivered = [one for one in self.of_key(key) if one.leased or one.acked]
        return not delivered or delivered[0].holder == consumer.holder

    def check_taken(self, entries: list[Entry], consumer: Consumer, limit: int, now: int) -> None:
        """Asserts that a take was lawful and complete, and learns from it."""
        assert len(entries) <= limit
        for entry in entries:
            record = next(one for one in self.records if one.message is entry.message)
            assert self.is_deliverable(record, consumer, now)
            assert entry.failures == record.failures
            assert entry.ack_id not in self.issued
            earlier = [one for one in self.of_key(self.key(record)) if one.message.sequence < entry.message.sequence]
            assert not self.key(record) or all(one.leased or one.acked for one in earlier), "out of order"
            self.issued.add(entry.ack_id)
            record.leased_to, record.holder = consumer, consumer.holder
            record.ack_id, record.deadline, record.late = entry.ack_id, entry.deadline, False
        mine = [record for record in self.records if record.leased_to is consumer]
        assert consumer.outstanding_messages == len(mine)
        assert consumer.outstanding_bytes == sum(len(record.message.encoded) for record in mine)
        assert not consumer.max_messages or len(mine) <= consumer.max_messages
        if len(entries) < limit and not (consumer.max_messages and len(mine) == consumer.max_messages):
            assert not any(self.is_deliverable(record, consumer, now) for record in self.records), "held back"

    def acknowledge(self, ack_ids: list[str], now: int) -> Verdict:
        self.expire(now)
        chosen = {record.ack_id: record for record in self.open() if record.leased}
        invalid, unordered = [], []
        ids = [*dict.fromkeys(ack_id for ack_id in ack_ids if ack_id in chosen)]
        for ack_id in sorted(ids, key=lambda ack_id: chosen[ack_id].message.sequence):
            record = chosen[ack_id]
            if self.settings.exactly_once and self.key(record) and self.of_key(self.key(record))[0] is not record:
                unordered.append(ack_id)
                continue
            record.leased_to, record.acked = None, True
            self.settle(record)
        for ack_id in (ack_id for ack_id in ack_ids if ack_id not in chosen):
            expired = [record for record in self.open() if record.late and record.ack_id == ack_id]
            if self.settings.exactly_once:
                invalid.append(ack_id)
            elif expired:
                expired[0].late, expired[0].acked = False, True
                self.settle(expired[0])
        return Verdict(tuple(invalid), tuple(unordered))

    def modify_deadline(self, ack_ids: list[str], lease: int, now: int) -> Verdict:
        self.expire(now)
        leased = {record.ack_id: record for record in self.open() if record.leased}
        chosen = [leased[ack_id] for ack_id in dict.fromkeys(ack_ids) if ack_id in leased]
        if lease:
            for record in chosen:
                record.deadline = now + lease
        else:
            self.fail(chosen, now, late=False)
        unknown = tuple(ack_id for ack_id in ack_ids if ack_id not in leased)
        return Verdict(unknown if self.settings.exactly_once else ())

    def expire(self, now: int) -> None:
        due = [record for record in self.open() if record.leased and record.deadline <= now]
        self.fail(due, now, late=not self.settings.exactly_once)

    def fail(self, failed: list[Record], now: int, *, late: bool) -> None:
        failed = sorted(failed, key=lambda record: record.message.sequence)
        for record in failed:
            record.failures += 1
        for record in failed:
            if not record.leased:
                continue
            record.leased_to = None
            policy = self.settings.dead_letter
            if policy is not None and record.failures >= policy.max_delivery_attempts:
                record.done = True
                self.dead.append(record.message.sequence)
                self.settle(record)
                continue
            ready_at = now + self.pause(record.failures)
            key = self.key(record)
            if not key:
                record.ready_at, record.late = ready_at, late
                continue
            self.rests[key] = max(self.rests.get(key, 0), ready_at)
            for later in self.of_key(key):
                if later.message.sequence > record.message.sequence:
                    later.leased_to, later.acked = None, False

    def pause(self, failures: int) -> int:
        policy = self.settings.retry
        return 0 if policy is None else min(policy.maximum_backoff, policy.minimum_backoff * 2 ** (failures - 1))

    def settle(self, record: Record) -> None:
        key = self.key(record)
        if not key:
            record.done = True
            return
        for one in self.of_key(key):
            if not one.acked:
                return
            one.done = True

    def seek(self, moment: int) -> None:
        for record in self.records:
            forgotten = record.done and not self.settings.retain_acked
            record.done = forgotten or record.message.publish_time < moment
            record.leased_to, record.acked, record.late = None, False, False
            record.failures, record.ready_at = 0, 0
        self.rests.clear()
