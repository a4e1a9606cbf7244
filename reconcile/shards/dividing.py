"""Into which shards a comparison is divided, and in which mode they are made: decided once, for all tasks."""

from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import UnreadableError
from reconcile.config import AskedMode
from reconcile.deciding import decide
from reconcile.modes import Chosen, choose, last_run, recall_run
from reconcile.plans import ComparisonPlan
from reconcile.reading import opened
from reconcile.shards.cutting import ShardSize, cut
from reconcile.shards.model import Shard
from reconcile.sources.services import Services


@dataclass(frozen=True)
class Wish:
    """What is wanted of a run, as far as its division depends on it.

    Attributes:
        mode: the mode asked for; None for the configured ones.
        state: folder of what earlier runs kept; None for none.
        size: how large shards should be.
        workers: how many footers are read at once.
        partitioned: comparisons whose counts are broken down by partition.
    """

    mode: AskedMode | None
    state: Path | None
    size: ShardSize
    workers: int
    partitioned: frozenset[str]


@dataclass(frozen=True)
class Divided:
    """A comparison, divided.

    Attributes:
        shards: its parts, in the order of the key; one for the whole when it cannot be cut.
        chosen: in which mode they are made; None when a side cannot be opened, which the comparison will tell.
        whole_because: why it is not cut; None when it is.
    """

    shards: tuple[Shard, ...]
    chosen: Chosen | None
    whole_because: str | None = None


def divide(plan: ComparisonPlan, services: Services, wish: Wish) -> Divided:
    """Divide a comparison into shards, and decide in which mode they are made.

    Args:
        plan: the comparison.
        services: where its sides are.
        wish: what is wanted.
    """
    found = cut(plan, services, mode=wish.mode or plan.mode, size=wish.size, workers=wish.workers)
    shards, because = found.shards, found.whole_because
    if because is None:
        by_value = choose(plan, "typed", None, is_ordered=True)
        is_asked = (wish.mode or plan.mode) == "typed"
        return Divided(shards, by_value if is_asked else replace(by_value, why="each is joined by value"))
    last = recall_run(last_run(wish.state, plan.name)) if wish.state is not None else None
    try:
        with opened(plan, services, wish.workers) as reading:
            chosen = decide(reading, wish.mode, last, is_partitioned=plan.name in wish.partitioned)
            return Divided(shards, chosen, because)
    except UnreadableError:
        return Divided(shards, None, because)
