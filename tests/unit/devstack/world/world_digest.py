"""One digest of everything a world makes; run as a program, it says what another process makes of the same seed."""

import hashlib
import sqlite3
import sys
from pathlib import Path

from core.contracts import load_contracts
from devstack.world import World
from devstack.world.api_rows import store_changes
from devstack.world.snapshots import snapshot_files


def digest_of_a_world(root: Path, store: Path) -> str:
    contracts = load_contracts(root / "dbt_project/models/raw")
    world = World(11, 150, contracts)
    digest = hashlib.sha256()
    for final in (False, True):
        world.evolve(900)
        for message in world.deliver(final=final):
            digest.update(repr(message).encode())
    store_changes(store, contracts, world.notified_changes())
    with sqlite3.connect(store) as connection:
        for row in connection.execute("select * from stored_rows order by table_name, row_key"):
            digest.update(repr(row).encode())
    connection.close()
    for file in snapshot_files(contracts, world.truth()):
        digest.update(file.path.encode() + file.data)
    return digest.hexdigest()


if __name__ == "__main__":
    print(digest_of_a_world(Path(sys.argv[1]), Path(sys.argv[2])))
