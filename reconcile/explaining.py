"""What a run would do, told beforehand: mode, who computes, bytes, thresholds, partition, shards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from core.clock import Clock, utc_now
from core.errors import UnreadableError
from core.settings import Settings
from reconcile.concluding import partitions_of, thresholds_of
from reconcile.config import AskedMode, ReconcileConfig
from reconcile.modes import Chosen, choose
from reconcile.plans import ComparisonPlan, RunPlan
from reconcile.policy import Partition, Thresholds
from reconcile.pushdown import remote
from reconcile.pushdown.asked import as_warehouse
from reconcile.pushdown.suits import refusal
from reconcile.read.sides import Side
from reconcile.reading import SIDES, Reading, opened
from reconcile.runner import plan_with
from reconcile.shards.cutting import ShardSize
from reconcile.shards.dividing import Divided, Wish, divide
from reconcile.shards.model import Shard
from reconcile.shards.running import SHARD_ROWS, SHARDS_A_TASK
from reconcile.sources.bigquery import BigQuerySource
from reconcile.sources.files import FileSource
from reconcile.sources.services import Services

ToldBy = Literal["dry run", "estimate", "listing"]


@dataclass(frozen=True)
class Bytes:
    """How many bytes a side reads.

    Attributes:
        count: bytes; None when nobody knows.
        told_by: a `dry run` of BigQuery, which is what it would bill (at least 10 MB a table); an `estimate` from the
            rows and the columns' types; or the `listing` of the files, which are read at most once.
    """

    count: int | None
    told_by: ToldBy


@dataclass(frozen=True)
class Explained:
    """What one comparison would do.

    Attributes:
        plan: the comparison.
        chosen: in which mode, and why.
        computing: sides that would do their part by themselves.
        handing_over: why the other sides would not, whose rows are then read and compared here.
        warehouse: bytes read of the warehouse, before those of buckets that differ.
        snapshot: the same of the snapshot.
        thresholds: how much may differ; None when nothing may.
        partition: by what counts are broken down; None for the whole alone.
        shards: its parts in a run of many tasks; one when it would not be cut.
        whole_because: why many tasks would not cut it; None when they would, and of a run in one task.
    """

    plan: ComparisonPlan
    chosen: Chosen
    computing: tuple[Side, ...]
    handing_over: dict[Side, str]
    warehouse: Bytes
    snapshot: Bytes
    thresholds: Thresholds | None
    partition: Partition | None
    shards: tuple[Shard, ...]
    whole_because: str | None


@dataclass(frozen=True)
class ExplainedRun:
    """What a run would do.

    Attributes:
        plan: the run, with what cannot be compared.
        comparisons: what can be, by name.
    """

    plan: RunPlan
    comparisons: dict[str, Explained]


def explain(
    config: ReconcileConfig,
    settings: Settings,
    *,
    tables: Sequence[str] = (),
    snapshot_id: str | None = None,
    mode: AskedMode | None = None,
    state: Path | None = None,
    task_count: int = 1,
    shard_rows: int = SHARD_ROWS,
    clock: Clock = utc_now,
) -> ExplainedRun:
    """Say what a run would do. No row is read: schemas, listings, footers, and dry runs of BigQuery.

    Args:
        config: the configuration.
        settings: where the warehouse, the contracts and S3 are.
        tables: names of comparisons; all when empty.
        snapshot_id: which snapshot instead of the configured one.
        mode: how to compare, instead of the configured modes.
        state: folder of what earlier runs kept; None for none.
        task_count: in how many tasks it would run.
        shard_rows: rows of a shard at most, about.
        clock: what time it is.

    Returns:
        What it would do.

    Raises:
        ConfigurationError: when a name is unknown, or the configuration contradicts the contracts.
    """
    wish = Wish(
        mode=mode,
        state=state,
        size=ShardSize(shard_rows, task_count * SHARDS_A_TASK),
        workers=config.limits.readers,
        partitioned=frozenset(partitions_of(config)),
    )
    with Services(settings, clock()) as services:
        planned = plan_with(services, config, tables=tables, snapshot_id=snapshot_id, mode=mode)
        found = [one for one in planned.comparisons if isinstance(one, ComparisonPlan)]
        told = {one.name: _explained(config, services, one, wish) for one in found}
        # Of a run in one task nobody asks why nothing is cut.
        return ExplainedRun(
            planned, told if task_count > 1 else {name: replace(one, whole_because=None) for name, one in told.items()}
        )


def _explained(config: ReconcileConfig, services: Services, plan: ComparisonPlan, wish: Wish) -> Explained:
    divided = divide(plan, services, wish)
    chosen = divided.chosen or choose(plan, wish.mode, None, is_ordered=None)
    refused, sizes = _asked(services, plan, divided, chosen, wish)
    return Explained(
        plan=plan,
        chosen=chosen,
        computing=tuple(side for side, reason in refused.items() if reason is None),
        handing_over={side: reason for side, reason in refused.items() if reason is not None},
        warehouse=sizes["warehouse"],
        snapshot=sizes["snapshot"],
        thresholds=thresholds_of(config).get(plan.name),
        partition=partitions_of(config).get(plan.name),
        shards=divided.shards,
        whole_because=divided.whole_because,
    )


def _asked(
    services: Services, plan: ComparisonPlan, divided: Divided, chosen: Chosen, wish: Wish
) -> tuple[dict[Side, str | None], dict[Side, Bytes]]:
    """Return why each side does not compute its own part, None when it does, and what it reads."""
    estimate = Bytes(chosen.warehouse_bytes, "estimate")
    if divided.chosen is None:
        return {}, {"warehouse": estimate, "snapshot": estimate}
    with opened(plan, services, wish.workers) as reading:
        all_rows = "counts by partition look at every row" if plan.name in wish.partitioned else None
        refused = {side: all_rows or refusal(plan, reading.source(side), chosen.mode, side) for side in SIDES}
        return refused, {side: _bytes(reading, side, chosen, computing=refused[side] is None) for side in SIDES}


def _bytes(reading: Reading, side: Side, chosen: Chosen, *, computing: bool) -> Bytes:
    source = reading.source(side)
    if isinstance(source, FileSource):
        return Bytes(sum(ref.size for ref in source.files.objects), "listing")
    if isinstance(source, BigQuerySource):
        mode = chosen.mode if computing else "typed"
        try:
            told = remote.billed(source, as_warehouse(reading.plan, side), mode)
        except UnreadableError:
            # A dry run needs the right to run jobs, which reading does not.
            told = None
        if told is not None:
            return Bytes(told, "dry run")
    return Bytes(chosen.warehouse_bytes, "estimate")
