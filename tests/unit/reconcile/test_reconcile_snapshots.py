"""Objects and manifests: which snapshot is taken, and what is refused as incomplete or replaced."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import ConfigurationError, UnreadableError
from core.pinned import FileStore, PinnedFile, open_store
from core.settings import Settings
from reconcile.config import SnapshotConfig
from reconcile.read.manifest import Snapshot, open_snapshot


def test_a_file_replaced_in_mid_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s1/t/a.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0123456789")
    store = FileStore(tmp_path)
    [ref] = store.listing("s1")
    file = PinnedFile(store, ref)
    assert (file.readable(), file.seekable(), file.read(4), file.tell()) == (True, True, b"0123", 4)
    path.write_bytes(b"9876543210")
    os.utime(path, ns=(1, 1))  # as some systems tell times by the tick, and both were written within one
    with pytest.raises(UnreadableError, match="was replaced while it was read"):
        file.read()
    path.unlink()
    with pytest.raises(UnreadableError, match="cannot be read"):
        file.read()


def test_stores_are_named_by_their_uri(tmp_path: Path) -> None:
    assert open_store(tmp_path.as_uri(), Settings()) == FileStore(tmp_path)
    for uri in ("gs://", "s3://", "file://host/folder", "/folder"):
        with pytest.raises(ConfigurationError, match="cannot be read: use"):
            open_store(uri, Settings())
    with pytest.raises(UnreadableError, match="no such folder"):
        FileStore(tmp_path / "none").folders()


def _snapshot(folder: Path, name: str, files: list[str], **changes: Any) -> None:
    for file in files:
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    tables = {"t": {"format": "parquet", "rows": 1, "files": files}}
    document = {"snapshot_id": name, "taken_at": "2026-01-05T07:00:00Z", "tables": tables, **changes}
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "manifest.json").write_bytes(msgspec.json.encode(document))


def _opened(folder: Path, name: str | None = None, **config: Any) -> Snapshot:
    return open_snapshot(FileStore(folder), folder.as_uri(), SnapshotConfig(**config), name)


def test_the_latest_snapshot_is_the_last_that_is_complete(tmp_path: Path) -> None:
    _snapshot(tmp_path, "2026-01-01", ["t/a.parquet"])
    _snapshot(tmp_path, "2026-01-02", ["t/a.parquet", "t/b.parquet"])
    (tmp_path / "2026-01-03").mkdir()
    snapshot = _opened(tmp_path)
    assert snapshot.snapshot_id == "2026-01-02"
    assert [ref.path for ref in snapshot.table("t")] == ["2026-01-02/t/a.parquet", "2026-01-02/t/b.parquet"]
    assert _opened(tmp_path, "2026-01-01").snapshot_id == "2026-01-01"
    assert _opened(tmp_path, "2026-01-01", manifest=None).manifest is None


@pytest.mark.parametrize("form", ["{id}/t/a.parquet", "t/a.parquet", "a.parquet", "{uri}/{id}/t/a.parquet"])
def test_a_manifest_may_name_files_from_any_root(tmp_path: Path, form: str) -> None:
    _snapshot(tmp_path, "s1", ["t/a.parquet"])
    file = form.format(id="s1", uri=tmp_path.as_uri())
    _snapshot(tmp_path, "s1", [], tables={"t": {"format": "parquet", "rows": 1, "files": [file]}})
    assert len(_opened(tmp_path).table("t")) == 1


def test_what_the_manifest_and_the_listing_disagree_on_is_unreadable(tmp_path: Path) -> None:
    _snapshot(tmp_path, "s1", ["t/a.parquet", "t/b.parquet"])
    (tmp_path / "s1/t/b.parquet").unlink()
    with pytest.raises(UnreadableError, match=r"1 of 2 files missing: b\.parquet"):
        _opened(tmp_path).table("t")
    (tmp_path / "s1/t/b.parquet").write_bytes(b"x")
    (tmp_path / "s1/t/c.parquet").write_bytes(b"x")
    with pytest.raises(UnreadableError, match=r"not in the manifest: c\.parquet"):
        _opened(tmp_path).table("t")
    with pytest.raises(UnreadableError, match="does not name the table 'u'"):
        _opened(tmp_path).table("u")
    with pytest.raises(UnreadableError, match="no files are there"):
        _opened(tmp_path, manifest=None).table("u")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"snapshot_id": "other"}, "is the manifest of 'other'"),
        ({"taken_at": "2026-01-05T07:00:00"}, "taken_at has no time zone"),
        ({"tables": {"t": {"format": "orc", "rows": 1, "files": []}}}, "Invalid enum value 'orc'"),
        ({"tables": {"t": {"format": "parquet", "files": []}}}, "missing required field `rows`"),
    ],
)
def test_a_manifest_that_is_not_valid_is_unreadable(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    _snapshot(tmp_path, "s1", ["t/a.parquet"], **changes)
    with pytest.raises(UnreadableError, match=fault):
        _opened(tmp_path)


def test_no_snapshot_at_all_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="holds no snapshot"):
        _opened(tmp_path)
    with pytest.raises(UnreadableError, match="nothing is there"):
        _opened(tmp_path, "s9")
    (tmp_path / "s1/t").mkdir(parents=True)
    (tmp_path / "s1/t/a.parquet").write_bytes(b"x")
    with pytest.raises(UnreadableError, match=r"none of its 1 folders holds a manifest\.json"):
        _opened(tmp_path)
    with pytest.raises(UnreadableError, match="may still be being written"):
        _opened(tmp_path, "s1")
