"""A pinned object as a file that Python's and Arrow's readers take."""

import io
from typing import Any

from core.pinned.model import ObjectRef, ObjectStore


class PinnedFile(io.RawIOBase):
    """One version of an object as a read-only file that can seek, for readers that want one.

    Nothing is read ahead, so memory is the caller's buffers; wrap it in `io.BufferedReader` for small reads.
    """

    def __init__(self, store: ObjectStore, ref: ObjectRef) -> None:
        super().__init__()
        self._store = store
        self._ref = ref
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end; return the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ref.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; all that is left when negative."""
        left = max(0, self._ref.size - self._position)
        length = left if size is None or size < 0 else min(size, left)
        data = self._store.read(self._ref, self._position, length)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; return how many bytes were there."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
