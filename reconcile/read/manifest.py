"""The manifest of a snapshot: what the writer says it wrote, held against what is there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from core.errors import UnreadableError
from core.pinned import ObjectRef, ObjectStore
from reconcile.config import SnapshotConfig
from reconcile.source_config import FileFormat

LATEST: Final = "latest"
_SHOWN: Final = 3


@dataclass(frozen=True)
class ManifestTable:
    """What the writer says of one table.

    Attributes:
        format: format of its files.
        rows: rows in all files together.
        files: the files, by their path below the snapshot, below the table's folder, or in full.
    """

    format: FileFormat
    rows: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What the writer says of a snapshot.

    Attributes:
        snapshot_id: its name.
        taken_at: when it was taken (UTC).
        tables: its tables by name.
    """

    snapshot_id: str
    taken_at: datetime
    tables: dict[str, ManifestTable]

    def __post_init__(self) -> None:
        if self.taken_at.tzinfo is None:
            raise ValueError("taken_at has no time zone; write it as UTC, ending in Z")


@dataclass(frozen=True)
class Snapshot:
    """One snapshot, listed and pinned.

    Attributes:
        uri: where the snapshots lie.
        snapshot_id: its name.
        manifest: what its writer says; None when the snapshots have none.
        objects: every object in it but the manifest.
        manifest_ref: the manifest's object, in the version that was read; None when there is none.
    """

    uri: str
    snapshot_id: str
    manifest: Manifest | None
    objects: tuple[ObjectRef, ...]
    manifest_ref: ObjectRef | None = None

    def table(self, folder: str) -> tuple[ObjectRef, ...]:
        """Return the objects of one table.

        Args:
            folder: the table's folder within the snapshot.

        Returns:
            What is listed there, which is exactly what the manifest names, in the order of the paths.

        Raises:
            UnreadableError: when nothing is listed, or the listing and the manifest disagree.
        """
        prefix = f"{self.snapshot_id}/{folder}/"
        listed = {ref.path.removeprefix(prefix): ref for ref in self.objects if ref.path.startswith(prefix)}
        where = f"{self.uri}/{prefix}"
        if self.manifest is not None:
            self._check(where, folder, set(listed))
        if not listed:
            raise UnreadableError(f"{where}: no files are there; an empty table still has a file without rows")
        return tuple(listed.values())

    def _check(self, where: str, folder: str, listed: set[str]) -> None:
        stated = self.manifest.tables.get(folder) if self.manifest else None
        if stated is None:
            raise UnreadableError(f"{where}: the manifest of {self.snapshot_id} does not name the table {folder!r}")
        named = {self._relative(folder, path) for path in stated.files}
        for fault, paths in (("missing", named - listed), ("not in the manifest", listed - named)):
            if paths:
                some = ", ".join(sorted(paths)[:_SHOWN]) + (", ..." if len(paths) > _SHOWN else "")
                raise UnreadableError(f"{where}: {len(paths)} of {len(named)} files {fault}: {some}")

    def _relative(self, folder: str, path: str) -> str:
        for prefix in (f"{self.uri}/", f"{self.snapshot_id}/", f"{folder}/"):
            path = path.removeprefix(prefix)
        return path


def open_snapshot(store: ObjectStore, uri: str, config: SnapshotConfig, snapshot_id: str | None) -> Snapshot:
    """Find a snapshot, list it and read its manifest.

    Args:
        store: where the snapshots lie.
        uri: the same, for messages.
        config: which snapshot, and the manifest's name.
        snapshot_id: which snapshot instead of the configured one; None for that one.

    Returns:
        The snapshot.

    Raises:
        UnreadableError: when there is none, it is empty, or its manifest is missing or not valid.
    """
    uri = uri.rstrip("/")
    chosen, listed = _choose(store, uri, config, snapshot_id or config.id)
    if config.manifest is None:
        return Snapshot(uri, chosen, None, listed)
    ref = _manifest_of(listed, chosen, config.manifest)
    if ref is None:
        raise UnreadableError(
            f"{uri}/{chosen}/{config.manifest}: is not there; the snapshot may still be being written"
        )
    return Snapshot(uri, chosen, _read(store, ref, chosen), tuple(other for other in listed if other is not ref), ref)


def _choose(store: ObjectStore, uri: str, config: SnapshotConfig, wanted: str) -> tuple[str, tuple[ObjectRef, ...]]:
    names = (wanted,) if wanted != LATEST else tuple(reversed(store.folders()))
    if not names:
        raise UnreadableError(f"{uri}: holds no snapshot")
    for name in names:
        listed = store.listing(name)
        # The manifest is written last: a folder without one is a snapshot in the making.
        if wanted != LATEST or config.manifest is None or _manifest_of(listed, name, config.manifest):
            if not listed:
                raise UnreadableError(f"{uri}/{name}: nothing is there; check the snapshot's uri and id")
            return name, listed
    raise UnreadableError(f"{uri}: none of its {len(names)} folders holds a {config.manifest}")


def _manifest_of(listed: tuple[ObjectRef, ...], snapshot_id: str, manifest: str) -> ObjectRef | None:
    return next((ref for ref in listed if ref.path == f"{snapshot_id}/{manifest}"), None)


def _read(store: ObjectStore, ref: ObjectRef, snapshot_id: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(store.read(ref, 0, ref.size), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{ref.uri}: not a valid manifest: {error}") from error
    if manifest.snapshot_id != snapshot_id:
        raise UnreadableError(f"{ref.uri}: is the manifest of {manifest.snapshot_id!r}; the snapshot was moved")
    return manifest
