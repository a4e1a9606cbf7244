"""The plan of a run in many tasks: written once, by the first task, and followed by all."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal

import msgspec

from core.pinned import ObjectRef
from reconcile.config import AskedMode, ReconcileConfig
from reconcile.modes import Chosen
from reconcile.result import SnapshotId
from reconcile.shards.bounds import Bound

PLAN_VERSION: Final = 4


class Shard(msgspec.Struct, frozen=True):
    """A part of one comparison that one task makes.

    Attributes:
        comparison: name of the comparison.
        number: its place among the shards of that comparison, from 0, in the order of the key.
        of: how many there are; 1 when the comparison is not cut.
        rows: rows of the snapshot that it reads, in whole row groups; what it weighs.
        held: rows of the files that these are in.
        low: first key of its range, as text; None for the range that begins before all.
        high: first key after it.
        key_type: what the bounds are.
        snapshot_files: which of the snapshot's files it reads, by their place in the listing; all when not cut.
        warehouse_files: the same of the warehouse's, where that is files.
    """

    comparison: str
    number: int
    of: int
    rows: int
    held: int = 0
    low: str | None = None
    high: str | None = None
    key_type: Literal["int", "str", "date"] = "int"
    snapshot_files: tuple[int, ...] = ()
    warehouse_files: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its name, which its files bear."""
        return f"{self.comparison}.{self.number:05}"

    def bounds(self) -> tuple[Bound | None, Bound | None]:
        """Return the range in the key's type."""
        return _typed(self.low, self.key_type), _typed(self.high, self.key_type)


class ShardedRun(msgspec.Struct, frozen=True):
    """A run in many tasks.

    Attributes:
        version: version of this plan's form.
        run_id: its name.
        config: digest of the configuration and of what the command asked for; every task must have the same.
        started_at: when it began (UTC).
        project: Google Cloud project of the warehouse.
        snapshot: the snapshot compared with.
        mode: the mode asked for; None for the configured ones.
        values: whether the Parquet of differences holds values.
        pins: digest of the listed files by comparison; every task must find the same ones.
        restrictions: the filter of each comparison, as reports show it.
        shards: all parts.
        snapshot_time: the instant that every task reads BigQuery as of (UTC), by BigQuery's clock; None where no side
            is a table of it.
        decided: the mode of each comparison, decided once: what a task's own `--state` holds is of no account.
    """

    version: int
    run_id: str
    config: str
    started_at: datetime
    project: str
    snapshot: SnapshotId
    mode: AskedMode | None
    values: bool
    pins: dict[str, str]
    restrictions: dict[str, str]
    shards: tuple[Shard, ...]
    snapshot_time: datetime | None = None
    decided: dict[str, Chosen] = {}

    @property
    def comparisons(self) -> tuple[str, ...]:
        """Names of the comparisons, in the order of the configuration."""
        return tuple(dict.fromkeys(shard.comparison for shard in self.shards))


def assigned(shards: Sequence[Shard], index: int, count: int) -> tuple[Shard, ...]:
    """Return the shards of one task: the heaviest first, each to the task that has least so far.

    Args:
        shards: all shards.
        index: the task, from 0.
        count: how many tasks there are.

    Returns:
        Its shards. Those of all tasks are all shards, each once (R. L. Graham, "Bounds on Multiprocessing Timing
        Anomalies", 1969: no task has more than 4/3 of the best possible longest).
    """
    loads = [0] * count
    mine = []
    for shard in sorted(shards, key=lambda shard: (-shard.rows, shard.name)):
        task = loads.index(min(loads))
        # A shard without rows costs a read session all the same.
        loads[task] += shard.rows + 1
        if task == index:
            mine.append(shard)
    return tuple(mine)


def digest_of_files(refs: Sequence[ObjectRef]) -> str:
    """Return a digest of the versions of some files.

    Args:
        refs: the files, as listed.
    """
    told = "\n".join(f"{ref.uri}\t{ref.etag}\t{ref.size}" for ref in refs)
    return hashlib.sha256(told.encode()).hexdigest()


def digest_of_request(config: ReconcileConfig, *asked: object) -> str:
    """Return a digest of all that decides what a run does.

    Args:
        config: the configuration.
        *asked: what the command asked for beside it.
    """
    return hashlib.sha256(f"{config.model_dump_json()}\n{asked!r}".encode()).hexdigest()


def text_of(bound: Bound | None) -> str | None:
    """Return a bound as text that `Shard.bounds` reads.

    Args:
        bound: the bound.
    """
    return bound.isoformat() if isinstance(bound, date) else None if bound is None else str(bound)


def _typed(text: str | None, key_type: str) -> Bound | None:
    if text is None or key_type == "str":
        return text
    return int(text) if key_type == "int" else date.fromisoformat(text)
