"""Whether a full dump that comes as objects is complete, and how many rows it has.

A marker says that nothing more is written: `_SUCCESS`, as Hadoop's committers leave it
(https://hadoop.apache.org/docs/stable/hadoop-mapreduce-client/hadoop-mapreduce-client-core/manifest_committer.html), or
a manifest that lists the objects, as `UNLOAD .. MANIFEST VERBOSE` of Amazon Redshift writes it
(https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html): an object `entries` of `url` and `meta.record_count`.

What was loaded stands in `audit.loaded_files`, whichever process did it, so neither the order in which objects and
markers are found nor a restart matters. An object counts once each of its rows has landed or is a dead letter.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from core.errors import DecodeError
from core.pinned import MissingError, ObjectRef, ObjectStore
from ingest.files.listing import version_of
from ingest.files.matching import MANIFESTS, SUCCESS, FileDump, is_hidden, is_manifest_of
from ingest.files.records import LoadedRows

_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 15.0
_MANIFEST_BYTES: Final = 64 * 1024 * 1024

Loaded = Callable[[Sequence[str]], Mapping[tuple[str, str], LoadedRows]]
"""Returns how many rows of some objects were loaded, told by their URIs; by URI and version. Blocks."""

OfTable = Callable[[str], bool]
"""Tells by its path whether an object belongs to the dump's table."""


class _Counts(msgspec.Struct):
    record_count: int | None = None


class _Entry(msgspec.Struct):
    url: str
    meta: _Counts | None = None


class _Manifest(msgspec.Struct):
    entries: list[_Entry]
    meta: _Counts | None = None


class _Part(msgspec.Struct, frozen=True):
    """An object of a dump, and how many rows it is said to have."""

    ref: ObjectRef
    rows: int | None = None


class _Parts(msgspec.Struct, frozen=True):
    """The objects of a dump, and how many rows they are said to have together."""

    parts: Sequence[_Part]
    rows: int | None = None


class DumpFiles:
    """Counts the rows of dumps."""

    def __init__(self, store: ObjectStore, loaded: Loaded, patience_s: float) -> None:
        """Prepare to count.

        Args:
            store: where the objects are.
            loaded: tells what was loaded, by this process or another.
            patience_s: how long to wait without any more objects being loaded, in seconds.
        """
        self._store = store
        self._loaded = loaded
        self._patience_s = patience_s

    async def rows(
        self, dump: FileDump, marker: ObjectRef, belongs: OfTable, progress: Callable[[], object]
    ) -> int | None:
        """Return how many rows a dump has, once all of its objects are loaded.

        Args:
            dump: the dump.
            marker: what says that it is complete.
            belongs: tells which objects are the table's.
            progress: returns what changes for as long as this process loads objects of the table.

        Returns:
            The number; None when another marker, a manifest, says more than this one does.

        Raises:
            DecodeError: `dump_incomplete` when an object is missing, cannot be read or has another number of rows, or
                none was loaded for as long as patience lasts; `invalid_dump_marker` for a manifest that is none.
            UnreadableError: when the store does not answer.
            MillraceError: when nobody tells what was loaded.
        """
        expected = await asyncio.to_thread(self._expected, dump, marker, belongs)
        return None if expected is None else _total(dump, expected, await self._loaded_of(expected.parts, progress))

    async def _loaded_of(self, parts: Sequence[_Part], progress: Callable[[], object]) -> int:
        latest: object = None
        wait_s, waited_s = _FIRST_WAIT_S, 0.0
        while True:
            loaded = await asyncio.to_thread(self._loaded, [part.ref.uri for part in parts])
            left = [part for part in parts if (part.ref.uri, version_of(part.ref)) not in loaded]
            if not left:
                return sum(_checked(part, loaded[part.ref.uri, version_of(part.ref)]) for part in parts)
            state = (len(left), progress())
            if state != latest:
                latest, wait_s, waited_s = state, _FIRST_WAIT_S, 0.0
            elif waited_s >= self._patience_s:
                raise _incomplete(f"{len(left)} of {len(parts)} files were not loaded, such as {left[0].ref.uri}")
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S, max(_FIRST_WAIT_S, self._patience_s - waited_s))

    def _expected(self, dump: FileDump, marker: ObjectRef, belongs: OfTable) -> _Parts | None:
        listed = self._listed(dump)
        manifests = [ref for ref in listed if is_manifest_of(dump, ref.path)]
        refs = [ref for ref in listed if dump.holds(ref.path) and not is_hidden(ref.path) and belongs(ref.path)]
        refs = [ref for ref in refs if ref not in manifests]
        if not marker.path.endswith(SUCCESS):
            return _named(_read_manifest(self._store, marker), marker, refs)
        return None if manifests else _Parts([_Part(ref) for ref in refs])

    def _listed(self, dump: FileDump) -> Sequence[ObjectRef]:
        """Return what lies in a dump's folder; of a dump that is one object, that and its markers."""
        if listed := self._store.listing(dump.root):
            return listed
        found = []
        for path in (dump.root, *(f"{dump.root}.{name}" for name in MANIFESTS)):
            try:
                found.append(self._store.look_up(path))
            except MissingError:
                continue
        return found


def _read_manifest(store: ObjectStore, marker: ObjectRef) -> _Manifest:
    if marker.size > _MANIFEST_BYTES:
        raise DecodeError("invalid_dump_marker", f"{marker.uri}: has more than {_MANIFEST_BYTES} bytes")
    try:
        return msgspec.json.decode(store.read(marker, 0, marker.size), type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("invalid_dump_marker", f"{marker.uri}: is no manifest with `entries`: {error}") from error


def _named(manifest: _Manifest, marker: ObjectRef, refs: Sequence[ObjectRef]) -> _Parts:
    """Return the objects that a manifest names, once they are those that are there."""
    folder = marker.path.rpartition("/")[0]
    by_name = {ref.uri: ref for ref in refs} | {ref.path: ref for ref in refs}
    parts = {}
    for entry in manifest.entries:
        name = entry.url if "://" in entry.url else f"{folder}/{entry.url}".lstrip("/")
        ref = by_name.get(name)
        if ref is None:
            raise _incomplete(f"{marker.uri} names {entry.url}, which is not there")
        parts[ref.path] = _Part(ref, entry.meta.record_count if entry.meta else None)
    unnamed = next((ref for ref in refs if ref.path not in parts), None)
    if unnamed is not None:
        raise _incomplete(f"{marker.uri} does not name {unnamed.uri}")
    return _Parts(list(parts.values()), manifest.meta.record_count if manifest.meta else None)


def _checked(part: _Part, loaded: LoadedRows) -> int:
    if loaded.state != "loaded":
        raise _incomplete(f"{part.ref.uri} was not loaded: it is {loaded.state}")
    if part.rows is not None and part.rows != loaded.row_count:
        raise _incomplete(f"{part.ref.uri} has {loaded.row_count} rows, and not {part.rows}")
    return loaded.row_count


def _total(dump: FileDump, expected: _Parts, rows: int) -> int:
    if expected.rows is not None and expected.rows != rows:
        raise _incomplete(f"dump {dump.id} has {rows} rows, and not {expected.rows}")
    if rows == 0 and expected.rows is None:
        # An empty folder may also be a wrong pattern or a writer that failed, and everything would be deleted.
        raise _incomplete(f"dump {dump.id} has no rows; one that is meant to be empty needs a manifest that says so")
    return rows


def _incomplete(words: str) -> DecodeError:
    return DecodeError("dump_incomplete", f"{words}; nothing was deleted")
