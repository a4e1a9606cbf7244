"""A river of its own for every test: a fresh project on shared stand-ins, and what was sent into it."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import grpc
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from core.clients import bigquery_client
from core.contracts import Contracts
from core.settings import Settings
from ingest.failpoints import Failpoint
from ingest.progress import Progress, Summary
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.setup import set_up
from ingest.stages import Plan

NOTIFICATIONS = "loyalty.member.notifications"
QUICK = {
    "ack_deadline_s": 10,
    "batch_wait_ms": 10,
    "notification_window_ms": 10,
    "retry_first_wait_s": 0.01,
    "retry_longest_wait_s": 0.05,
}
"""Tunables that keep a test from waiting."""


def topic_of(table: str) -> str:
    return f"loyalty.member.{table}"


def event(table: str, position: int, row: Mapping[str, object], **fields: object) -> bytes:
    """A Debezium event; `fields` replace parts of the envelope."""
    source = {"name": "loyalty", "schema": "member", "table": table, "lsn": position, "ts_us": 1_767_323_045_678_901}
    return json.dumps({"op": "c", "before": None, "after": row, "source": source} | fields).encode()


def member(member_id: int, **fields: object) -> tuple[str, bytes]:
    """The ordering key and the event of a new member."""
    row = {"member_id": member_id, "member_number": f"M{member_id}"} | fields
    return json.dumps({"member_id": member_id}), event("members", 1_000 + member_id, row)


@dataclass(frozen=True)
class River:
    """One project on the stand-ins.

    Attributes:
        settings: where the stand-ins are.
        contracts: the tables, a few of them.
    """

    settings: Settings
    contracts: Contracts
    sent: set[str] = field(default_factory=set)

    @cached_property
    def channel(self) -> grpc.Channel:
        options = [("grpc.max_receive_message_length", -1)]
        return grpc.insecure_channel(self.settings.pubsub_emulator_host or "", options)

    @cached_property
    def bigquery(self) -> bigquery.Client:
        return bigquery_client(self.settings)

    def set_up(self) -> None:
        """Create everything."""
        set_up(self.settings, self.contracts)
        self.forget_published()

    def forget_published(self) -> None:
        """Have topics keep nothing: what is acknowledged too early must be lost, also where a test seeks back."""
        for topic in (*self.contracts.by_topic(), *self.contracts.notification_topics()):
            self.keep_published(topic, timedelta())

    def keep_published(self, topic: str, kept: timedelta) -> None:
        """Have a topic keep what is published for so long; nothing for no time."""
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self.channel))
        name = f"projects/{self.settings.project}/topics/{topic}"
        retention = {"message_retention_duration": kept} if kept else {}
        publisher.update_topic(
            request={"topic": {"name": name, **retention}, "update_mask": {"paths": ["message_retention_duration"]}}
        )

    def publish(self, topic: str, messages: Iterable[Mapping[str, Any]]) -> list[str]:
        """Publish messages and remember their ids."""
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self.channel))
        path = f"projects/{self.settings.project}/topics/{topic}"
        ids = [*publisher.publish(topic=path, messages=list(messages)).message_ids]
        self.sent.update(ids)
        return ids

    def publish_members(self, numbers: Iterable[int]) -> list[str]:
        """Publish one new member a number."""
        pairs = [member(number) for number in numbers]
        return self.publish(topic_of("members"), [{"data": data, "ordering_key": key} for key, data in pairs])

    async def run(self, *, idle_s: float = 0.3, failpoint: Failpoint | None = None, **tunables: object) -> Summary:
        """Run the ingester in this process until it is idle."""
        settings = IngestSettings.model_validate(QUICK | tunables)
        return await Run(Plan(self.settings, self.contracts), settings, failpoint).run(idle_s)

    def begin(self, group: asyncio.TaskGroup, *, until_idle_s: float, **tunables: object) -> Run:
        """Start the ingester in this process and leave it running."""
        run = Run(Plan(self.settings, self.contracts), IngestSettings.model_validate(QUICK | tunables))
        group.create_task(run.run(until_idle_s))
        return run

    async def run_until(self, reached: Callable[[Progress], bool], **tunables: object) -> Summary:
        """Run the ingester in this process until its counters say that it is enough."""
        settings = IngestSettings.model_validate(QUICK | tunables)
        run = Run(Plan(self.settings, self.contracts), settings)

        async def watch() -> None:
            while not reached(run.progress):  # noqa: ASYNC110 - counters have no event to wait for
                await asyncio.sleep(0.01)
            run.stop()

        async with asyncio.timeout(30):
            watcher = asyncio.create_task(watch())
            try:
                return await run.run()
            finally:
                watcher.cancel()

    def environment(self, **variables: str) -> dict[str, str]:
        """What a process of the ingester needs to know."""
        settings = self.settings
        tunables = {f"MILLRACE_INGEST_{name.upper()}": str(value) for name, value in QUICK.items()}
        return {
            **os.environ,
            **tunables,
            "PUBSUB_EMULATOR_HOST": settings.pubsub_emulator_host or "",
            "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host or "",
            "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host or "",
            "MILLRACE_PROJECT": settings.project,
            "MILLRACE_CONTRACTS_PATH": str(settings.contracts_path),
            "MILLRACE_LOG_FORMAT": "json",
            **variables,
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start the command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "ingest.cli", *arguments],
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def seek_to_beginning(self, topic: str = "loyalty.member.members") -> None:
        """End all leases of a topic's subscription and deliver everything again that it still keeps."""
        beginning = datetime(2000, 1, 1, tzinfo=UTC)
        self._subscriber().seek(request={"subscription": self._subscription(topic), "time": beginning})

    def retain_acknowledged(self, topic: str) -> None:
        """Have the topic's subscription keep what is acknowledged, so that a seek delivers it again."""
        self._subscriber().update_subscription(
            request={
                "subscription": {"name": self._subscription(topic), "retain_acked_messages": True},
                "update_mask": {"paths": ["retain_acked_messages"]},
            }
        )

    def _subscriber(self) -> SubscriberClient:
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=self.channel))

    def _subscription(self, topic: str) -> str:
        return f"projects/{self.settings.project}/subscriptions/{topic}{self.settings.subscription_suffix}"

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return what landed in a raw table."""
        return self._table("raw", table)

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what was dead-lettered."""
        return self._table("audit", "dead_letters")

    def ledger(self) -> list[dict[str, Any]]:
        """Return which dead letters were published again."""
        return self._table("audit", "dead_letter_replays")

    def reports(self) -> list[dict[str, Any]]:
        """Return what was reported of the watermarks."""
        return self._table("audit", "watermarks")

    def landed_ids(self) -> list[str]:
        """Return the event ids in all raw tables, duplicates included."""
        return [row["_event_id"] for table in self.contracts for row in self.rows(table)]

    def _table(self, dataset: str, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.bigquery.list_rows(f"{self.settings.project}.{dataset}.{table}")]

    def dead_topic(self, count: int) -> list[Any]:
        """Take that many messages from the dead-letter topic; more of them are none of this test's."""
        subscriber = self._subscriber()
        path = f"projects/{self.settings.project}/subscriptions/millrace-dead-letters-keep"
        taken: list[Any] = []
        while len(taken) < count:
            batch = subscriber.pull(subscription=path, max_messages=1_000, timeout=10).received_messages
            taken += [received.message for received in batch]
            subscriber.acknowledge(subscription=path, ack_ids=[received.ack_id for received in batch])
        return taken

    def assert_nothing_lost(self, control: Iterable[str] = ()) -> None:
        """Hold the invariant: sent = distinct(landed) + distinct(dead-lettered)."""
        landed = set(self.landed_ids())
        dead = {row["event_id"] for row in self.dead_letters()}
        assert self.sent - set(control) == landed | dead
        assert not landed & dead

    def close(self) -> None:
        self.channel.close()
        self.bigquery.close()


def new_river(settings: Settings, contracts: Contracts) -> River:
    """Return a river with its resources created."""
    project = f"river-{uuid.uuid4().hex[:12]}"
    river = River(settings.model_copy(update={"project": project}), contracts)
    river.set_up()
    return river
