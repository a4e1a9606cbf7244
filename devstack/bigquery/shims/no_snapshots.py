"""Changes a table without copying all of it first.

The emulator keeps a full copy of a table after every change, for `FOR SYSTEM_TIME AS OF`. That makes n changes cost
n squared, in time and in memory. So no automatic copy is taken, and `held_instants` answers without one; explicit
snapshots (`CREATE SNAPSHOT TABLE`) keep working, and dependants still hear of the change.
"""

from bqemulator.domain.events import TableDataChanged
from bqemulator.versioning.snapshots import SnapshotManager


def _announce_change(manager: SnapshotManager, project_id: str, dataset_id: str, table_id: str) -> None:
    manager._events.publish(TableDataChanged(project_id, dataset_id, table_id))  # noqa: SLF001


def apply() -> None:
    """Replace the hook that every write path calls after a change."""
    SnapshotManager.record_change = _announce_change
