"""From the results of parts to the result of the whole."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from reconcile import causes
from reconcile.compare.partitions import MOST
from reconcile.conclusions import PartitionResult
from reconcile.examples import examples
from reconcile.report.files import DIFFERENCES, OWNER_ALONE
from reconcile.result import (
    KINDS,
    ColumnResult,
    ComparisonResult,
    Counts,
    Difference,
    Inputs,
    Timing,
    worst,
)

_BATCH_ROWS: Final = 65_536


def merged_comparison(
    name: str, parts: Sequence[ComparisonResult], *, restriction: str, sample: int
) -> ComparisonResult:
    """Return the result of a comparison from those of its parts.

    Args:
        name: its name.
        parts: what the parts found, in the order of the key; at least one.
        restriction: the filter of the whole, as reports show it.
        sample: most differences of each kind to tell.

    Returns:
        The result of the whole. Parts share no key, so that everything adds up; one unreadable part makes the whole
        unreadable, for nobody knows what it holds.
    """
    first = replace(parts[0], name=name)
    if len(parts) == 1:
        return first
    timing = Timing(sum(part.timing.read_s for part in parts), sum(part.timing.compare_s for part in parts))
    inputs = _inputs([part.inputs for part in parts if part.inputs], restriction)
    bad = [(number, part) for number, part in enumerate(parts, start=1) if part.verdict == "unreadable"]
    if bad:
        reason = f"range {bad[0][0]} of {len(parts)}: {bad[0][1].reason}"
        return replace(
            first, verdict="unreadable", reason=reason, counts=None, columns=(), sample=(), differences_file=None,
            inputs=inputs, timing=timing, causes=(), partitions=(), evidence=None,
        )  # fmt: skip
    counts = _counts([part.counts for part in parts if part.counts])
    return replace(
        first,
        verdict=worst(tuple(part.verdict for part in parts)),
        counts=counts,
        columns=_columns(parts, counts.paired),
        sample=_sample(parts, sample),
        differences_file=None,
        inputs=inputs,
        timing=timing,
        why=f"in {len(parts)} ranges of the key; {first.why}",
        causes=causes.merged(cause for part in parts for cause in part.causes),
        partitions=_partitions(parts),
    )


def merged_differences(folder: Path, parts: Sequence[ComparisonResult], target: Path) -> bool:
    """Write the differences of all parts into one Parquet file.

    Args:
        folder: folder that the parts' files lie in.
        parts: what the parts found, in the order of the key.
        target: the file to write; its folder is made when absent.

    Returns:
        Whether there were any.
    """
    files = [folder / part.differences_file for part in parts if part.differences_file]
    if not files:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(OWNER_ALONE)
    with pq.ParquetWriter(target, pq.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            with pq.ParquetFile(file) as source:
                for batch in source.iter_batches(_BATCH_ROWS):
                    writer.write_batch(batch)
    return True


def differences_file(name: str) -> str:
    """Return where the differences of a comparison lie, relative to the report.

    Args:
        name: the comparison.
    """
    return f"{DIFFERENCES}/{name}.parquet"


def _counts(parts: Sequence[Counts]) -> Counts:
    return Counts(**{field.name: sum(getattr(part, field.name) for part in parts) for field in fields(Counts)})


def _columns(parts: Sequence[ComparisonResult], paired: int) -> tuple[ColumnResult, ...]:
    changed = [sum(part.columns[n].changed for part in parts) for n, _ in enumerate(parts[0].columns)]
    return tuple(
        replace(column, changed=count, rate=count / max(1, paired))
        for column, count in zip(parts[0].columns, changed, strict=True)
    )


def _sample(parts: Sequence[ComparisonResult], most: int) -> tuple[Difference, ...]:
    of_kind = [[found for part in parts for found in part.sample if found.kind == kind] for kind in KINDS]
    return tuple(chosen for found in of_kind for chosen in examples(found, most))


def _inputs(parts: Sequence[Inputs], restriction: str) -> Inputs | None:
    if not parts:
        return None
    objects = {(found.uri, found.etag): found for part in parts for found in part.objects}
    sessions = ", ".join(dict.fromkeys(part.read_session for part in parts if part.read_session))
    pins = ", ".join(dict.fromkeys(part.snapshot_pin for part in parts if part.snapshot_pin))
    return replace(
        parts[0],
        row_restriction=restriction,
        objects=tuple(objects.values()),
        read_session=sessions or None,
        snapshot_pin=pins or None,
    )


def _partitions(parts: Sequence[ComparisonResult]) -> tuple[PartitionResult, ...]:
    found: dict[str | None, list[PartitionResult]] = {}
    for part in parts:
        for partition in part.partitions:
            found.setdefault(partition.value, []).append(partition)
    summed = [_partition(value, of_value) for value, of_value in found.items()]
    return tuple(sorted(summed, key=lambda p: (-p.differences, p.value is None, p.value or ""))[:MOST])


def _partition(value: str | None, parts: Sequence[PartitionResult]) -> PartitionResult:
    names = ("warehouse_rows", "snapshot_rows", "missing", "extra", "changed", "duplicated_keys")
    summed = {name: sum(getattr(part, name) for part in parts) for name in names}
    whole = PartitionResult(value=value, rate=0.0, **summed)
    return replace(whole, rate=whole.differences / max(1, whole.warehouse_rows, whole.snapshot_rows))
