"""The tree of checksums: leaves by bucket, branches over them, a root; kept from run to run.

A two-level Merkle tree (R. Merkle, "A Digital Signature Based on a Conventional Encryption Function", 1987): a branch
is the SHA-256 of 256 leaves, the root that of the branches. Two trees are compared from the root down, so that equal
branches are passed over whole.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

_LEAVES_OF_A_BRANCH: Final = 256
_VERSION: Final = 1


@dataclass(frozen=True)
class Leaf:
    """The rows of one bucket.

    Attributes:
        rows: how many there are.
        total: the sum of their checksums.
    """

    rows: int
    total: int


Leaves = dict[int, Leaf]
"""Leaves by bucket; a bucket without rows has none."""


@dataclass(frozen=True)
class Tree:
    """Branches over leaves.

    Attributes:
        root: SHA-256 over the branches.
        branches: SHA-256 over the leaves of each branch that has any.
    """

    root: bytes
    branches: dict[int, bytes]


def merged(parts: list[Leaves]) -> Leaves:
    """Return the leaves of several sets of rows together: sums add up.

    Args:
        parts: the leaves of each set.
    """
    if len(parts) == 1:
        return parts[0]
    rows: dict[int, int] = defaultdict(int)
    totals: dict[int, int] = defaultdict(int)
    for part in parts:
        for bucket, leaf in part.items():
            rows[bucket] += leaf.rows
            totals[bucket] += leaf.total
    return {bucket: Leaf(rows[bucket], totals[bucket]) for bucket in rows}


def tree_of(leaves: Leaves) -> Tree:
    """Return the tree over some leaves.

    Args:
        leaves: the leaves.
    """
    texts: dict[int, list[str]] = defaultdict(list)
    for bucket in sorted(leaves):
        leaf = leaves[bucket]
        texts[bucket // _LEAVES_OF_A_BRANCH].append(f"{bucket}:{leaf.rows}:{leaf.total}")
    branches = {number: hashlib.sha256("\n".join(lines).encode()).digest() for number, lines in texts.items()}
    root = hashlib.sha256(
        b"".join(number.to_bytes(8, "big", signed=True) + branches[number] for number in sorted(branches))
    )
    return Tree(root.digest(), branches)


def differing(left: Leaves, right: Leaves) -> set[int]:
    """Return the buckets in which two trees differ, from the root down.

    Args:
        left: leaves of one tree.
        right: leaves of the other.
    """
    trees = tree_of(left), tree_of(right)
    if trees[0].root == trees[1].root:
        return set()
    numbers = trees[0].branches.keys() | trees[1].branches.keys()
    branches = {number for number in numbers if trees[0].branches.get(number) != trees[1].branches.get(number)}
    buckets = {b for side in (left, right) for b in side if b // _LEAVES_OF_A_BRANCH in branches}
    return {bucket for bucket in buckets if left.get(bucket) != right.get(bucket)}


class KeptTree(msgspec.Struct, frozen=True):
    """What is kept of a run for the next.

    Attributes:
        version: version of this format.
        basis: what the checksums depend on besides the rows: the engine's version, columns, rules and buckets.
        root: root over all files, as hexadecimal.
        files: by the pinned version of each file, its leaves as bucket, rows and total.
    """

    version: int
    basis: str
    root: str
    files: dict[str, list[tuple[int, int, str]]]


def keep(path: Path, basis: str, files: dict[str, Leaves]) -> None:
    """Write a tree, in one step.

    Args:
        path: where to.
        basis: what the checksums depend on besides the rows.
        files: leaves by the pinned version of each file.
    """
    root = tree_of(merged(list(files.values()))) if files else tree_of({})
    rows = {etag: [(b, leaf.rows, str(leaf.total)) for b, leaf in found.items()] for etag, found in files.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(KeptTree(_VERSION, basis, root.root.hex(), rows)))
    partial.replace(path)


def recall(path: Path, basis: str) -> dict[str, Leaves]:
    """Read what a run kept.

    Args:
        path: where it was kept.
        basis: what the checksums of this run depend on besides the rows.

    Returns:
        Leaves by the pinned version of each file; none when nothing is there, it was made otherwise, or it is
        damaged: the root tells.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=KeptTree)
        files = {etag: {b: Leaf(rows, int(t)) for b, rows, t in found} for etag, found in kept.files.items()}
    except (OSError, ValueError):
        return {}
    whole = tree_of(merged(list(files.values()))) if files else tree_of({})
    is_ours = (kept.version, kept.basis, kept.root) == (_VERSION, basis, whole.root.hex())
    return files if is_ours else {}
