"""Files of this machine, pinned by inode, size and time of modification."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import UnreadableError
from core.pinned.model import MissingError, ObjectRef, replaced

_NS_PER_US: Final = 1_000


@dataclass(frozen=True)
class FileStore:
    """Files below a folder of this machine.

    Attributes:
        root: the folder.
    """

    root: Path

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """See `ObjectStore.listing`."""
        folder = self.root / prefix
        if not folder.is_dir():
            return ()
        return tuple(self._ref(path) for path in sorted(folder.rglob("*")) if path.is_file())

    def look_up(self, path: str) -> ObjectRef:
        """See `ObjectStore.look_up`."""
        file = self.root / path
        try:
            return self._ref(file)
        except FileNotFoundError as error:
            raise MissingError(f"{file.absolute().as_uri()}: is not there") from error
        except OSError as error:
            raise UnreadableError(f"{file.absolute().as_uri()}: cannot be read: {error.strerror}") from error

    def folders(self) -> tuple[str, ...]:
        """See `ObjectStore.folders`."""
        if not self.root.is_dir():
            raise UnreadableError(f"{self.root.as_uri()}: no such folder")
        return tuple(sorted(path.name for path in self.root.iterdir() if path.is_dir()))

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """See `ObjectStore.read`."""
        path = self.root / ref.path
        try:
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(length)
            current = self._ref(path)
        except OSError as error:
            raise UnreadableError(f"{ref.uri}: cannot be read: {error.strerror}") from error
        if current.etag != ref.etag:
            raise replaced(ref.uri)
        if len(data) != length:
            raise UnreadableError(f"{ref.uri}: asked for {length} bytes and got {len(data)}")
        return data

    def _ref(self, path: Path) -> ObjectRef:
        state = path.stat()
        return ObjectRef(
            uri=path.absolute().as_uri(),
            path=path.relative_to(self.root).as_posix(),
            etag=f"{state.st_ino}-{state.st_size}-{state.st_mtime_ns}",
            size=state.st_size,
            modified_us=state.st_mtime_ns // _NS_PER_US,
        )
