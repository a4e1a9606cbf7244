"""`make live`: a real PostgreSQL, a real Debezium, the river, and the proof that structure equals the source."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from core.clients import bigquery_client, s3_client
from core.clock import utc_now
from core.contracts import Contracts, load_contracts
from core.errors import MillraceError
from devstack.commands import run_json, run_text
from devstack.demo.console import Stopwatch
from devstack.demo.proof import Reconciliation, reconcile
from devstack.demo.warehouse import raw_counts
from devstack.live.capture import CaptureConfig
from devstack.live.postgres import Postgres, running_postgres
from devstack.live.schema import SCHEMA, create_tables
from devstack.live.truth import read_truth
from devstack.live.workload import Workload, fill, run_workload
from devstack.pubsub import stats
from devstack.stack import Stack, down, running_stack
from devstack.world.snapshots import write_snapshot

SNAPSHOT = "live"

_MARK = "select pg_logical_emit_message(true, 'millrace', 'mark')::text"
"""Writes a message, no change of any row, into the log, and returns its place there."""

_CATCH_UP_S = 120.0
_POLL_S = 0.5
_STOP_S = 30.0


@dataclass(frozen=True)
class LiveOptions:
    """What the live run does.

    Attributes:
        rows: rows tried per table before the capture starts.
        transactions: transactions of each connection, in each round.
        connections: concurrent connections.
        seed: seed of the random choices.
        folder: where everything is written.
    """

    rows: int = 60
    transactions: int = 100
    connections: int = 4
    seed: int = 7
    folder: Path = Path("build/live")


@dataclass(frozen=True)
class LiveSummary:
    """The result of a live run.

    Attributes:
        statements: rows changed at the source, by kind of statement.
        events: messages that Debezium published.
        raw_distinct: distinct events in the raw tables.
        dead_lettered: distinct events in the dead letters.
        capture_kills: how often Debezium was killed and started again.
        source_rows: rows the source ends with.
        tables_compared: tables compared with the source.
        tables_equal: tables among them that are equal, row by row.
        seconds: seconds by stage.
    """

    statements: dict[str, int]
    events: int
    raw_distinct: int
    dead_lettered: int
    capture_kills: int
    source_rows: int
    tables_compared: int
    tables_equal: int
    seconds: dict[str, float] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """Return what did not hold, a sentence each; empty when all is well."""
        checks = [
            (self.events > 0, "Debezium published nothing"),
            (self.dead_lettered == 0, f"{self.dead_lettered} real events were dead-lettered"),
            (
                self.raw_distinct == self.events,
                f"{self.events} messages were published but {self.raw_distinct} landed",
            ),
            (
                0 < self.tables_compared == self.tables_equal,
                f"{self.tables_equal} of {self.tables_compared} tables equal the source",
            ),
        ]
        return [fault for holds, fault in checks if not holds]


def run_live(options: LiveOptions, console: Console) -> LiveSummary:
    """Capture a workload from a real database and compare what it became with the database itself.

    Args:
        options: what to do.
        console: where to show progress.

    Returns:
        The result, also written to `summary.json` in the options' folder.

    Raises:
        MillraceError: when a part fails, with its last words.
    """
    down(options.folder / "stack")
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    watch = Stopwatch(console)
    console.print("[bold]Millrace: a real PostgreSQL and a real Debezium[/]")
    with ExitStack() as running:
        with watch.stage("start", "start PostgreSQL and the stand-ins"):
            stack = running.enter_context(running_stack(options.folder / "stack"))
            postgres = running.enter_context(running_postgres())
        # boto3 finds credentials nowhere else.
        os.environ.update(stack.environment())
        summary = _Live(options, watch, stack, postgres).run()
    document = {"ok": not summary.faults(), "faults": summary.faults(), **asdict(summary)}
    (options.folder / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
    return summary


class _Live:
    """One live run."""

    def __init__(self, options: LiveOptions, watch: Stopwatch, stack: Stack, postgres: Postgres) -> None:
        self._options = options
        self._watch = watch
        self._postgres = postgres
        self._environment = {**stack.environment(), "MILLRACE_LOG_FORMAT": "json"}
        self._settings = stack.settings()
        self._contracts: Contracts = load_contracts(self._settings.contracts_path)
        self._statements: Counter[str] = Counter()
        self._kills = 0

    def run(self) -> LiveSummary:
        with self._watch.stage("create", "create the 13 tables at the source") as stage:
            run_text("ingest", ["setup"], self._environment, self._log("ingest"))
            with self._postgres.connect() as connection:
                create_tables(connection, self._contracts)
            self._statements["filled"] = fill(self._postgres, self._contracts, self._options.rows, self._options.seed)
            stage.detail = f"{self._statements['filled']} rows for the snapshot"
        with self._watch.stage("capture", "capture the snapshot, then a workload out of several connections") as stage:
            with self._capture(with_schemas=False) as debezium:
                # The slot is there before the snapshot is read, so its place in the log says nothing of that.
                _wait_for(lambda: self._published() >= self._statements["filled"], debezium, self._log("debezium"))
                self._work(1, truncated="member_interactions")
                self._kill(debezium)
            # Killed in mid-stream and started again, Debezium publishes part of the workload twice.
            with self._capture(with_schemas=False) as debezium:
                self._catch_up(debezium)
            stage.detail = f"{self._published():,} messages, killed once"
        self._land("1")
        with self._watch.stage("capture", "capture a second workload, now with schemas in every event") as stage:
            with self._capture(with_schemas=True) as debezium:
                self._work(2, truncated="member_cases")
                self._catch_up(debezium)
            stage.detail = f"{self._published():,} messages in all"
        self._land("2")
        proof, rows = self._prove()
        return self._summary(proof, rows)

    def _work(self, number: int, truncated: str) -> None:
        workload = Workload(
            connections=self._options.connections,
            transactions=self._options.transactions,
            truncated=truncated,
            seed=self._options.seed + number,
        )
        self._statements += run_workload(self._postgres, self._contracts, workload)

    @contextmanager
    def _capture(self, *, with_schemas: bool) -> Iterator["subprocess.Popen[bytes]"]:
        config = CaptureConfig(
            port=self._postgres.port,
            user=self._postgres.user,
            database=self._postgres.database,
            schema_name=SCHEMA,
            folder=self._options.folder.resolve(),
            with_schemas=with_schemas,
            record_to=(self._options.folder / "events.ndjson").resolve(),
        )
        path = self._options.folder / "capture.json"
        path.write_text(config.model_dump_json())
        with self._log("debezium").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "devstack.live.capture", str(path)],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _kill(self, debezium: "subprocess.Popen[bytes]") -> None:
        debezium.kill()
        debezium.wait()
        self._kills += 1

    def _catch_up(self, debezium: "subprocess.Popen[bytes]") -> None:
        """Wait until Debezium has confirmed everything that is in the log now."""
        with self._postgres.connect(autocommit=True) as connection:
            (target,) = connection.execute(_MARK).fetchone() or (None,)

            def confirmed() -> bool:
                # After a snapshot Debezium confirms nothing until it has streamed something: give it a mark.
                connection.execute(_MARK)
                row = connection.execute(
                    "select bool_and(confirmed_flush_lsn >= %s::pg_lsn) from pg_replication_slots", [target]
                ).fetchone()
                return bool(row and row[0])

            _wait_for(confirmed, debezium, self._log("debezium"))

    def _land(self, part: str) -> None:
        with self._watch.stage("land", f"ingest and build structure, part {part}") as stage:
            landed = run_json("ingest", ["run", "--until-idle", "2"], self._environment, self._log("ingest"))
            built = run_json(
                "pipeline", ["run", "--once", "--zone", "structure"], self._environment, self._log("pipeline"), (0, 1)
            )
            failed = [error for zone in built["zones"] for error in zone["errors"]]
            if failed:
                raise MillraceError("structure could not be built:\n  " + "\n  ".join(failed))
            stage.detail = f"{landed['landed']:,} rows landed"

    def _prove(self) -> tuple[Reconciliation, int]:
        with self._watch.stage("prove", "compare structure with `select * from` every source table") as stage:
            with self._postgres.connect() as connection:
                truth = read_truth(connection, self._contracts)
            write_snapshot(
                s3_client(self._settings),
                self._settings.snapshot_uri,
                SNAPSHOT,
                truth,
                contracts=self._contracts,
                taken_at=utc_now(),
                ndjson_tables=frozenset(),  # JSON has no word for the infinite numbers of this source
            )
            output = self._options.folder / "report"
            found = reconcile(self._environment, SNAPSHOT, output, self._log("reconcile"))
            stage.detail = f"{found.equal} of {found.compared} tables equal"
        return found, sum(map(len, truth.values()))

    def _summary(self, proof: Reconciliation, rows: int) -> LiveSummary:
        with bigquery_client(self._settings) as client:
            raw = raw_counts(client, self._settings, self._contracts)
        return LiveSummary(
            statements=dict(self._statements),
            events=self._published(),
            raw_distinct=raw.distinct,
            dead_lettered=sum(raw.dead_letters.values()),
            capture_kills=self._kills,
            source_rows=rows,
            tables_compared=proof.compared,
            tables_equal=proof.equal,
            seconds=dict(self._watch.seconds),
        )

    def _published(self) -> int:
        found = stats.fetch(self._environment["PUBSUB_EMULATOR_HOST"])
        return sum(
            counts.published for name, counts in found.items() if name.endswith(self._settings.subscription_suffix)
        )

    def _log(self, name: str) -> Path:
        return self._options.folder / f"{name}.log"


def _wait_for(done: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _CATCH_UP_S
    while not done():
        if process.poll() is not None:
            raise MillraceError(f"Debezium ended with code {process.returncode}; see {log}")
        if time.monotonic() > deadline:
            raise MillraceError(f"Debezium did not catch up within {_CATCH_UP_S:.0f} s; see {log}")
        time.sleep(_POLL_S)
