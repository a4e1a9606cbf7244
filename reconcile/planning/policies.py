"""What is asked of a comparison beyond its columns: its mode, its partition, its thresholds."""

from collections.abc import Sequence

from core.errors import UnreadableError
from reconcile.compare.checksum import unhashable
from reconcile.compare.partitions import check_partition
from reconcile.config import AskedMode, ComparisonConfig, ReconcileConfig
from reconcile.planning.faults import Faults
from reconcile.plans import ComparisonPlan


def check_policies(config: ComparisonConfig, plan: ComparisonPlan, faults: Faults) -> None:
    """Find whether counts can be broken down as configured, and whether thresholds guard columns that are compared.

    Args:
        config: what the configuration says of the comparison.
        plan: the comparison.
        faults: the faults of this comparison.
    """
    partition = config.partition
    if partition is not None and not faults.concern("columns", partition.column):
        with faults.at("partition"):
            check_partition(plan, partition)
    compared = {column.name for column in plan.values}
    for name in config.thresholds.columns if config.thresholds is not None else ():
        if name not in compared and not faults.concern("columns", name):
            faults.add(
                "no such column is compared, so that nothing would be guarded; there are "
                f"{', '.join(sorted(compared))}",
                "thresholds",
                "columns",
                name,
            )


def check_defaults(config: ReconcileConfig, planned: Sequence[ComparisonPlan], faults: Faults) -> None:
    """Find whether the thresholds of all comparisons guard columns that some of them compare.

    Args:
        config: the configuration.
        planned: its comparisons, when all of them could be planned.
        faults: the faults of the whole configuration.
    """
    stated = config.defaults.thresholds
    followers = {comparison.name for comparison in config.comparisons if comparison.thresholds is None}
    compared = {column.name for plan in planned if plan.name in followers for column in plan.values}
    for name in stated.columns if stated is not None else ():
        if name not in compared:
            faults.add(
                "no comparison that goes by these thresholds compares such a column, so that nothing would be guarded",
                "defaults",
                "thresholds",
                "columns",
                name,
            )


def check_mode(config: ComparisonConfig, plan: ComparisonPlan, asked: AskedMode | None, faults: Faults) -> None:
    """Find whether checksums can stand for the values of a comparison that is to be compared by them.

    Args:
        config: what the configuration says of the comparison.
        plan: the comparison.
        asked: the mode of the command line, which holds for every comparison alike; None for the configured ones.
        faults: the faults of this comparison.

    Raises:
        UnreadableError: when it was asked for on the command line, which other comparisons may well follow.
    """
    if (asked or config.mode) != "checksum" or faults.concern():
        return
    reason = unhashable(plan)
    if reason is None:
        return
    message = f"cannot be compared by checksum: {reason}; use the mode typed"
    if config.mode == "checksum":
        faults.add(message, "mode")
    else:
        raise UnreadableError(message)
