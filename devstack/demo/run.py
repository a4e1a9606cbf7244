"""The demo, stage by stage: publish, ingest, kill, build, reconcile, plant, find."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from core.clients import bigquery_client, s3_client
from core.contracts import Contracts, load_contracts
from core.errors import MillraceError
from devstack.commands import run_json, run_text
from devstack.demo.console import Stage, Stopwatch
from devstack.demo.ingester import Backlog, Ingester, backlog
from devstack.demo.proof import Reconciliation, planted_differences, reconcile
from devstack.demo.summary import Difference, Summary
from devstack.demo.warehouse import raw_counts, zone_rows
from devstack.docs import generate_dbt_docs
from devstack.stack import Stack, down, up
from devstack.world import Message, World
from devstack.world.api_rows import store_changes
from devstack.world.planted import plant
from devstack.world.publish import publish
from devstack.world.snapshots import write_snapshot

TRUTH = "truth"
PLANTED = "planted"


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does.

    Attributes:
        members: members who ever join.
        events: changes at the source, over all increments.
        increments: rounds of publishing, ingesting and building.
        seed: seed of the world; the same seed sends the same bytes.
        planted_each: differences planted of each kind.
        kill_after: share of a round's messages after which the ingester is killed.
        folder: where everything is written.
        keep: whether the stack is left running.
    """

    members: int = 20_000
    events: int = 200_000
    increments: int = 3
    seed: int = 7
    planted_each: int = 2
    kill_after: float = 0.4
    folder: Path = Path("build/demo")
    keep: bool = False

    @property
    def stack_folder(self) -> Path:
        """Folder of the demo's own stack."""
        return self.folder / "stack"

    @property
    def reports(self) -> Path:
        """Folder of the reconciliation reports."""
        return self.folder / "reports"


@dataclass
class _Tally:
    """What adds up over the increments."""

    kills: int = 0
    tests_failed: int = 0
    streaming_s: float = 0.0
    artifacts: dict[str, str] = field(default_factory=dict)


def run_demo(options: DemoOptions, console: Console) -> Summary:
    """Run the whole river and prove it.

    Args:
        options: what to do.
        console: where to show progress.

    Returns:
        The result, also written to `summary.json` in the options' folder.

    Raises:
        MillraceError: when a part fails, with its last words.
    """
    down(options.stack_folder)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    watch = Stopwatch(console)
    console.print("[bold]Millrace: the whole river on local stand-ins[/]")
    with _stack(options, watch) as stack:
        summary = _Demo(options, watch, stack).run()
    (options.folder / "summary.json").write_text(json.dumps(summary.to_json(), indent=2) + "\n")
    return summary


@contextmanager
def _stack(options: DemoOptions, watch: Stopwatch) -> Iterator[Stack]:
    try:
        with watch.stage("start", "start BigQuery, Pub/Sub, S3 and the API") as stage:
            stack = up(options.stack_folder)
            # boto3 finds credentials nowhere else, and dbt and our own commands inherit the rest.
            os.environ.update(stack.environment())
            stage.detail = "all on free loopback ports"
        yield stack
    except BaseException:
        down(options.stack_folder)
        raise
    if not options.keep:
        down(options.stack_folder)


class _Demo:
    """One run of the demo on a running stack."""

    def __init__(self, options: DemoOptions, watch: Stopwatch, stack: Stack) -> None:
        self._options = options
        self._watch = watch
        self._stack = stack
        # A killed ingester's leases end after the shortest deadline Pub/Sub allows, so that nobody waits long.
        self._environment = {
            **stack.environment(),
            "MILLRACE_INGEST_ACK_DEADLINE_S": "10",
            "MILLRACE_LOG_FORMAT": "json",
        }
        self._settings = stack.settings()
        self._pubsub = self._environment["PUBSUB_EMULATOR_HOST"]
        self._contracts: Contracts = load_contracts(self._settings.contracts_path)
        self._tally = _Tally()
        self._ingester = Ingester(self._environment, options.folder / "ingest.log")

    def run(self) -> Summary:
        with self._watch.stage("set_up", "create topics, subscriptions and raw tables"):
            run_text("ingest", ["setup"], self._environment, self._log("ingest"))
        world = World(self._options.seed, self._options.members, self._contracts)
        try:
            for increment in range(1, self._options.increments + 1):
                self._increment(world, increment)
            self._ingester.stop()
        finally:
            self._ingester.kill()
        return self._summary(world, self._prove(world))

    def _increment(self, world: World, increment: int) -> None:
        of = f"{increment} of {self._options.increments}"
        is_last = increment == self._options.increments
        with self._watch.stage("generate", f"let members live, round {of}") as stage:
            world.evolve(self._options.events // self._options.increments)
            messages = world.deliver(final=is_last)
            store_changes(self._stack.api_store, self._contracts, world.notified_changes())
            stage.detail = f"{len(messages):,} messages"
        self._stream(messages, of, with_kill=increment == min(2, self._options.increments))
        with self._watch.stage("build", f"build and test every zone, increment {of}") as stage:
            stage.detail = self._build()

    def _stream(self, messages: tuple[Message, ...], of: str, *, with_kill: bool) -> None:
        started = time.monotonic()
        with self._watch.stage("stream", f"publish and ingest, round {of}") as stage, ThreadPoolExecutor(1) as pool:
            begun = backlog(self._pubsub).acked
            self._ingester.start()
            published = pool.submit(publish, messages, self._settings)
            if with_kill:
                enough = begun + int(self._options.kill_after * len(messages))
                self._wait(stage, lambda found: found.acked >= enough)
                self._ingester.kill()
                self._tally.kills += 1
                stage.detail = f"killed with {backlog(self._pubsub).waiting:,} messages unacknowledged; "
                self._ingester.start()
            self._wait(stage, lambda found: published.done() and found.waiting == 0)
            published.result()
            self._ingester.stop()
            taken = time.monotonic() - started
            stage.detail += f"{len(messages) / taken:,.0f} messages/s"
        self._tally.streaming_s += taken

    def _wait(self, stage: Stage, reached: Callable[[Backlog], bool]) -> None:
        def show(found: Backlog) -> None:
            stage.progress(f"{found.acked:,} acknowledged, {found.waiting:,} waiting")

        self._ingester.wait_until(reached, self._pubsub, show)

    def _build(self) -> str:
        document = run_json("pipeline", ["run", "--once"], self._environment, self._log("pipeline"), accepted=(0, 1))
        zones = document["zones"]
        self._tally.tests_failed += sum(zone["tests_failed"] for zone in zones)
        failed = [error for zone in zones for error in zone["errors"]]
        if any(zone["status"] != "succeeded" for zone in zones):
            raise MillraceError("the zones could not be built:\n  " + "\n  ".join(failed))
        models = sum(zone["models_built"] for zone in zones)
        tests = sum(zone["tests_passed"] for zone in zones)
        warned = sum(zone["tests_warned"] for zone in zones)
        return f"{models} models built, {tests} tests passed" + (f", {warned} warned" if warned else "")

    def _prove(self, world: World) -> "_Proof":
        truth = world.truth()
        copy, planted = plant(self._contracts, truth, self._options.seed, each=self._options.planted_each)
        rows = sum(map(len, truth.values()))
        with self._watch.stage("snapshot", "write the truth to S3, and a spoilt copy of it") as stage:
            client = s3_client(self._settings)
            for snapshot_id, content in ((TRUTH, truth), (PLANTED, copy)):
                write_snapshot(
                    client,
                    self._settings.snapshot_uri,
                    snapshot_id,
                    content,
                    contracts=self._contracts,
                    taken_at=world.now,
                )
            stage.detail = f"{rows:,} rows, {len(planted)} differences planted"
        with self._watch.stage("reconcile", "reconcile structure with the truth, row by row") as stage:
            on_truth = self._reconcile(TRUTH)
            stage.detail = f"{on_truth.equal} of {on_truth.compared} tables equal"
        with self._watch.stage("find", "reconcile with the copy, find what was planted") as stage:
            on_copy = self._reconcile(PLANTED)
            wanted = planted_differences(self._contracts, planted)
            stage.detail = f"{len(on_copy.differences & wanted)} of {len(wanted)} found, by key and column"
        return _Proof(rows, on_truth, on_copy, wanted)

    def _reconcile(self, snapshot_id: str) -> Reconciliation:
        output = self._options.reports / snapshot_id
        found = reconcile(self._environment, snapshot_id, output, self._log("reconcile"))
        self._tally.artifacts[f"report on the {snapshot_id} snapshot"] = str(found.report)
        return found

    def _summary(self, world: World, proof: "_Proof") -> Summary:
        with self._watch.stage("count", "count what every zone holds"), bigquery_client(self._settings) as client:
            raw = raw_counts(client, self._settings, self._contracts)
            zones = zone_rows(client, self._settings)
        with self._watch.stage("docs", "generate the dbt docs, with columns and lineage"):
            page = generate_dbt_docs(self._environment, self._options.folder / "docs")
        ledger = world.ledger
        topics = ledger.topics.values()
        return Summary(
            members=self._options.members,
            events_sent=ledger.events_sent,
            control_messages=ledger.control_sent,
            events_published_again=sum(topic.duplicates for topic in topics),
            notifications_sent=sum(topic.notifications for topic in topics),
            sets_sent=ledger.sets_sent,
            set_rows=raw.of_sets,
            poison_sent=ledger.poison_sent,
            raw_rows=raw.rows,
            raw_distinct=raw.distinct,
            dead_lettered=sum(raw.dead_letters.values()),
            dead_letters_by_reason=raw.dead_letters,
            ingester_kills=self._tally.kills,
            increments=self._options.increments,
            truth_rows=proof.truth_rows,
            tables_reconciled=proof.on_truth.compared,
            tables_equal=proof.on_truth.equal,
            differences_planted=len(proof.planted),
            differences_found=len(proof.on_copy.differences),
            planted_exactly=proof.on_copy.differences == proof.planted,
            tests_failed=self._tally.tests_failed,
            zones=zones,
            seconds=dict(self._watch.seconds),
            events_per_second=round(ledger.events_sent / self._tally.streaming_s),
            artifacts={
                "dbt docs": str(page),
                **self._tally.artifacts,
                "summary": str(self._options.folder / "summary.json"),
                "logs": str(self._options.folder),
            },
        )

    def _log(self, name: str) -> Path:
        return self._options.folder / f"{name}.log"


@dataclass(frozen=True)
class _Proof:
    truth_rows: int
    on_truth: Reconciliation
    on_copy: Reconciliation
    planted: frozenset[Difference]
