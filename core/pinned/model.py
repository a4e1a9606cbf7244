"""A version of an object, a store of them, and why one could not be read."""

from dataclasses import dataclass
from typing import Protocol

from core.errors import UnreadableError


class MissingError(UnreadableError):
    """The object is not there."""


class ReplacedError(UnreadableError):
    """The object is there, but in another version than the one that was asked for."""


class ForbiddenError(UnreadableError):
    """The store refuses the caller."""


class UnreachableError(UnreadableError):
    """The store did not answer, also when asked again; the object itself may be fine."""

    retryable = True


@dataclass(frozen=True)
class ObjectRef:
    """One version of one object.

    Attributes:
        uri: where it lies.
        path: its path below the store's root.
        etag: its entity tag; on Cloud Storage, its generation; for a file, its inode, size and time of modification.
        size: length in bytes.
        modified_us: when this version was written, in microseconds since 1970 UTC.
    """

    uri: str
    path: str
    etag: str
    size: int
    modified_us: int = 0


class ObjectStore(Protocol):
    """Where objects lie."""

    def listing(self, prefix: str) -> tuple[ObjectRef, ...]:
        """Return every object below a folder, or below the root when it is empty, in the order of their paths.

        Raises:
            UnreadableError: when the store refuses, or cannot be reached.
        """

    def look_up(self, path: str) -> ObjectRef:
        """Return the version of an object that is there now.

        Raises:
            UnreadableError: when it is not there, the store refuses, or it cannot be reached.
        """

    def folders(self) -> tuple[str, ...]:
        """Return the names of the folders right below the root, sorted.

        Raises:
            UnreadableError: when the store refuses, or cannot be reached.
        """

    def read(self, ref: ObjectRef, start: int, length: int) -> bytes:
        """Return `length` bytes of exactly this version of an object, from `start`.

        Raises:
            UnreadableError: when the object was replaced or removed, or cannot be read.
        """


def replaced(uri: str) -> ReplacedError:
    """Return the error of an object that is there in another version.

    Args:
        uri: where it lies.
    """
    return ReplacedError(f"{uri}: was replaced while it was read; run again once it is complete")


def folder(prefix: str) -> str:
    """Return a prefix with the slash that ends a folder; nothing for the root.

    Args:
        prefix: without slashes at its ends.
    """
    return f"{prefix}/" if prefix else ""
