"""Metadata of lake tables on Cloud Storage, read through the same store as their data.

The libraries' own clients for Cloud Storage speak its XML API, find credentials in their own ways, and read whatever
version is there; this store pins every object by its generation, and knows a local stand-in.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final
from urllib.parse import urlsplit

from core.errors import UnreadableError
from core.pinned import ObjectStore, PinnedFile

_LOG: Final = "_delta_log"
_VECTORS: Final = ".bin"
"""How files of deletion vectors end; see "Deletion Vector Files" in Delta's protocol."""


@dataclass(frozen=True)
class StoredInput:
    """A file as PyIceberg reads it: as much of its `InputFile` as that takes.

    Attributes:
        location: its URI.
        store: the root of its bucket.
        path: its path below that.
    """

    location: str
    store: ObjectStore
    path: str

    def open(self, seekable: bool = True) -> IO[bytes]:
        """Open the version that is there now.

        Args:
            seekable: whether it will be read out of order; this always can.

        Raises:
            UnreadableError: when it is not there, or cannot be read.
        """
        del seekable
        return io.BufferedReader(PinnedFile(self.store, self.store.look_up(self.path)))


@dataclass(frozen=True)
class StoreIO:
    """How PyIceberg reads files through our stores: as much of its `FileIO` as reading takes.

    Attributes:
        store_of: returns the store of a URI.
    """

    store_of: Callable[[str], ObjectStore]

    def new_input(self, location: str) -> StoredInput:
        """Return a file.

        Args:
            location: its URI.
        """
        parts = urlsplit(location)
        return StoredInput(location, self.store_of(f"{parts.scheme}://{parts.netloc}"), parts.path.lstrip("/"))


@contextmanager
def delta_log_here(store: ObjectStore) -> Iterator[Path]:
    """Bring the log of a Delta table to this machine, for as long as it is read.

    Args:
        store: the table's root.

    Yields:
        A folder with the log, and with the files of deletion vectors, but without data.

    Raises:
        UnreadableError: when there is no log, or it changes while it is read.
    """
    log = store.listing(_LOG)
    if not log:
        raise UnreadableError("there is no _delta_log in it")
    # Vectors lie among the data, under names that only they have.
    vectors = [ref for ref in store.listing("") if ref.path.endswith(_VECTORS)]
    with TemporaryDirectory(prefix="millrace-delta-") as folder:
        for ref in (*log, *vectors):
            path = Path(folder) / ref.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with io.BufferedReader(PinnedFile(store, ref)) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        yield Path(folder)
