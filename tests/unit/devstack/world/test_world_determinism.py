"""The same seed gives the same bytes: in one process, in two, and whatever the hash seed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from world_digest import digest_of_a_world
from world_stories import ROOT, live_through

from core.contracts import Contracts
from devstack.world import Shares, World
from devstack.world.snapshots import snapshot_files


def test_a_process_with_another_hash_seed_and_time_zone_agrees_on_every_byte(tmp_path: Path) -> None:
    program = Path(__file__).with_name("world_digest.py")
    run = subprocess.run(
        [sys.executable, str(program), str(ROOT), str(tmp_path / "theirs.sqlite")],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "4242", "TZ": "Asia/Tokyo"},
    )
    assert run.stdout.strip() == digest_of_a_world(ROOT, tmp_path / "ours.sqlite")


def _digest(contracts: Contracts, seed: int, shares: Shares | None = None) -> str:
    told = live_through(World(seed, 60, contracts, shares=shares), rounds=2, events=400)
    return hashlib.sha256(b"".join(message.data for message in told.messages)).hexdigest()


def test_the_same_seed_gives_the_same_world_and_another_seed_another(contracts: Contracts) -> None:
    assert _digest(contracts, 3) == _digest(contracts, 3)
    assert _digest(contracts, 3) != _digest(contracts, 4)


def test_other_disorder_leaves_the_history_as_it_is(contracts: Contracts) -> None:
    calm, wild = Shares(duplicates=0, reordered=0, late=0), Shares(duplicates=0.5, reordered=0.5, late=0.2)
    assert World(5, 50, contracts, shares=calm).evolve(300) == World(5, 50, contracts, shares=wild).evolve(300)


def test_how_often_rounds_are_delivered_does_not_change_the_truth(contracts: Contracts) -> None:
    often, once = World(5, 50, contracts), World(5, 50, contracts)
    for _ in range(3):
        often.evolve(200)
        often.deliver()
        once.evolve(200)
    assert often.truth() == once.truth()


def test_a_snapshot_file_depends_on_the_rows_and_not_on_their_history(contracts: Contracts) -> None:
    truth = live_through(World(5, 50, contracts), rounds=1, events=300).truth
    backwards = {table: dict(reversed(list(rows.items()))) for table, rows in truth.items()}
    assert list(snapshot_files(contracts, truth)) == list(snapshot_files(contracts, backwards))
