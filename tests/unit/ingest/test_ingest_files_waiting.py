"""How long the end of a full dump waits for its files, which another process may be loading."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import pytest

from core.errors import DecodeError
from core.pinned import FileStore
from ingest.files.dumps import DumpFiles
from ingest.files.matching import FileDump
from ingest.files.records import LoadedRows

DUMP = FileDump("members", "1", "1")


class Elsewhere:
    """Another process, which has loaded a file more each time it is asked."""

    def __init__(self, *, after: int) -> None:
        self.asked = 0
        self._after = after

    def __call__(self, uris: Sequence[str]) -> Mapping[tuple[str, str], LoadedRows]:
        self.asked += 1
        store = FileStore(Path(uris[0].removeprefix("file://")).parents[1])
        refs = {ref.uri: ref for ref in store.listing("1")}
        return {(uri, refs[uri].etag): LoadedRows("loaded", 2) for uri in uris[: self.asked - self._after]}


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    (tmp_path / "1").mkdir()
    for name in ("a", "b", "c", "_SUCCESS"):
        (tmp_path / "1" / name).write_text(name)
    return FileStore(tmp_path)


async def rows(store: FileStore, loaded: Elsewhere, *, patience_s: float, works: bool = False) -> int | None:
    numbers = count()
    marker = store.look_up("1/_SUCCESS")
    dumps = DumpFiles(store, loaded, patience_s)
    return await dumps.rows(DUMP, marker, lambda _: True, lambda: next(numbers) if works else None)


async def test_files_that_another_process_loads_are_waited_for(store: FileStore) -> None:
    assert await rows(store, Elsewhere(after=0), patience_s=0.0) == 6


@pytest.mark.parametrize(("after", "works"), [(3, True), (1, False)])
async def test_patience_begins_anew_with_all_that_happens(store: FileStore, after: int, works: bool) -> None:
    assert await rows(store, Elsewhere(after=after), patience_s=0.001, works=works) == 6


async def test_patience_ends(store: FileStore) -> None:
    elsewhere = Elsewhere(after=1_000)
    with pytest.raises(DecodeError, match=r"3 of 3 files were not loaded, such as file://\S+/a; nothing was") as caught:
        await rows(store, elsewhere, patience_s=0.1)
    assert caught.value.reason == "dump_incomplete"
    assert elsewhere.asked > 2


async def test_an_older_version_of_a_file_does_not_count(store: FileStore, tmp_path: Path) -> None:
    stale = {(ref.uri, f"{ref.etag}-old"): LoadedRows("loaded", 1) for ref in store.listing("1")}
    dumps = DumpFiles(store, lambda _: stale, 0.0)
    with pytest.raises(DecodeError, match="3 of 3 files"):
        await dumps.rows(DUMP, store.look_up("1/_SUCCESS"), lambda _: True, lambda: None)
