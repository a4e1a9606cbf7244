"""The modes that join only some of the rows by value: those of buckets that differ, or of a sample."""

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Final

import duckdb

from core.pinned import ObjectRef
from reconcile.compare.checksum import Hashing, buckets_for, check_hashable, engine_hashing, leaves, narrow
from reconcile.compare.tree import Leaves, keep, merged, recall
from reconcile.compare.workspace import Workspace
from reconcile.read.direct import Direct
from reconcile.rules import describe

_CONFIDENCE: Final = 0.95
_HASH_RANGE: Final = 2**64
_LEAST_KEYS: Final = 100
"""Keys of a sample, about: that none of them comes to be taken happens once in e^100 times."""


@dataclass(frozen=True)
class Narrowed:
    """What is left to join.

    Attributes:
        space: the workspace that shows only that.
        buckets: buckets there are.
        differing: those that differ.
        skipped: files whose checksums were kept from an earlier run.
    """

    space: Workspace
    buckets: int
    differing: int
    skipped: int


@dataclass(frozen=True)
class Interval:
    """A share of which only a sample is known.

    Attributes:
        rate: the share in the sample.
        low: the least share that agrees with the sample, at the confidence.
        high: the greatest.
        confidence: how often intervals made so hold the true share.
    """

    rate: float
    low: float
    high: float
    confidence: float


def interval(found: int, of: int, confidence: float = _CONFIDENCE) -> Interval:
    """Return the confidence interval of a share by E. B. Wilson's score (JASA 22, 1927), which holds near 0 too.

    Args:
        found: how many of the sample have the property.
        of: size of the sample.
        confidence: how often intervals made so shall hold the true share.

    Returns:
        The interval; everything is possible when the sample is empty.
    """
    if of == 0:
        return Interval(0.0, 0.0, 1.0, confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = found / of
    centre = (rate + z * z / (2 * of)) / (1 + z * z / of)
    reach = z / (1 + z * z / of) * math.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of))
    low = 0.0 if found == 0 else max(0.0, centre - reach)
    return Interval(rate, low, 1.0 if found == of else min(1.0, centre + reach), confidence)


def widened(share: float, rows: int) -> float:
    """Return the share of the keys to take of a table, so that a sample of a small one is not empty.

    Args:
        share: share of the keys that is asked for, from 0 to 1.
        rows: rows of the larger side.

    Returns:
        The share, or a larger one that takes about a hundred keys; 1 for a table that has no more.
    """
    return min(1.0, max(share, _LEAST_KEYS / max(1, rows)))


def sampled(space: Workspace, share: float) -> Workspace:
    """Return the workspace that shows a sample of the keys: on both sides the same ones, in every run.

    Args:
        space: both sides.
        share: share of the keys, from 0 to 1.

    Returns:
        Rows whose key's hash is below the share of the hash's range.
    """
    columns = ", ".join(f"c{number}" for number, _ in enumerate(space.plan.key))
    least = min(_HASH_RANGE - 1, int(share * _HASH_RANGE))
    return space.narrowed(f"hash({columns}) <= {least}::ubigint")


def checksummed(space: Workspace, kept: Path | None) -> Narrowed:
    """Compare checksums, and return the workspace that shows the buckets that differ.

    Args:
        space: both sides.
        kept: file of the tree that is kept from run to run; None to keep none.

    Returns:
        What is left to join.

    Raises:
        ConfigurationError: when a rule cannot be followed by checksums.
    """
    check_hashable(space.plan)
    space.show()
    found = [space.one(f"select min(c0), max(c0) from {side}") for side in ("warehouse", "snapshot")]  # noqa: S608 - our own names
    bounds = [(low, high) for low, high in found if None not in (low, high)]
    buckets = buckets_for(space.plan, bounds)
    hashing = engine_hashing(buckets, space.plan.columns)
    warehouse = leaves(space.connection, "warehouse", hashing)
    snapshot, skipped = snapshot_leaves(space, hashing, kept)
    condition = narrow(space.connection, buckets, warehouse, snapshot)
    [differing] = space.one("select count(*) from differing")
    return Narrowed(space.narrowed(condition), len(warehouse.keys() | snapshot.keys()), int(differing), skipped)


def snapshot_leaves(space: Workspace, hashing: Hashing, kept: Path | None) -> tuple[Leaves, int]:
    """Return the checksums of the snapshot, those of files that are still the same from the run before.

    Args:
        space: both sides.
        hashing: how a row is hashed.
        kept: file of the tree that is kept from run to run; None to keep none.

    Returns:
        A leaf for each bucket that holds rows, and how many files were not hashed again.
    """
    side = space.snapshot
    if kept is None or not isinstance(side, Direct):
        return leaves(space.connection, "snapshot", hashing), 0
    made_of = basis(space, hashing)
    known = recall(kept, made_of)
    found: list[Leaves] = []
    skipped = 0
    for file in side.contents:
        version = version_of(file.ref)
        if version in known:
            found.append(known[version])
            skipped += 1
            continue
        alone = Workspace(space.connection, space.statements, space.warehouse, side.only((file,)), space.condition)
        alone.show_side("snapshot")
        found.append(leaves(space.connection, "snapshot", hashing))
    keep(kept, made_of, {version_of(f.ref): held for f, held in zip(side.contents, found, strict=True)})
    return merged(found), skipped


def version_of(ref: ObjectRef) -> str:
    """Return what is the same only for files of the same bytes.

    Args:
        ref: a file.

    Returns:
        On S3, the entity tag and the size, whatever the file is called: it may lie in another folder the next day.
        Elsewhere also its name, for two objects may have one generation.
    """
    name = "" if ref.uri.startswith("s3://") else ref.uri
    return f"{name} {ref.etag} {ref.size}"


def basis(space: Workspace, hashing: Hashing) -> str:
    """Return what checksums of the snapshot's view depend on besides the rows, as text.

    Args:
        space: both sides.
        hashing: how a row is hashed.
    """
    forms = space.statements.forms(space.snapshot, space.warehouse)
    columns = [
        f"{column.name} {column.data_type} {describe(column.rule)} {form}"
        for column, (form, _) in zip(space.plan.columns, forms, strict=True)
    ]
    where = space.snapshot.where if isinstance(space.snapshot, Direct) else ""
    return "; ".join([f"duckdb {duckdb.__version__}", hashing.bucket, hashing.checksum, where, *columns])
