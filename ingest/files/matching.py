"""Which table an object belongs to: the one whose contract's `files` pattern matches its path.

A table of full dumps also says to which dump, by the placeholder `{dump_id}`, and so where the dump's markers lie:
beside the objects in its folder, or beside the one object that is the dump, after a point.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from core.contracts import Contracts, TableContract
from core.contracts.dump_files import DUMP_PLACEHOLDER
from core.errors import ConfigurationError, DecodeError

SUCCESS: Final = "_SUCCESS"
"""Name of the empty object by which Hadoop's committers, and so Spark, say that a folder is complete."""

MANIFESTS: Final = ("manifest", "_manifest.json")
"""Names of the list of a dump's objects."""

_MARKERS: Final = (SUCCESS, *MANIFESTS)
_DUMP_ID: Final = "(?P<dump_id>[0-9A-Za-z][0-9A-Za-z._:+-]{0,127})"
_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANINGS: Mapping[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class FileDump(NamedTuple):
    """A full dump that comes as objects.

    Attributes:
        table: its table.
        id: its id.
        root: the path of its folder, or of the object that is the dump.
    """

    table: str
    id: str
    root: str

    def holds(self, path: str) -> bool:
        """Tell whether an object lies where the dump's rows do; it may be a marker all the same.

        Args:
            path: of the object.
        """
        return path == self.root or path.startswith(f"{self.root}/")


class TableMatcher:
    """Tells tables, dumps and their markers by the paths of objects."""

    def __init__(self, contracts: Contracts) -> None:
        """Prepare the patterns.

        Args:
            contracts: the tables being landed; those without `files` match nothing.

        Raises:
            ConfigurationError: when no table has files.
        """
        self._patterns = {
            name: pattern_of(contract.files) for name, contract in contracts.items() if contract.files is not None
        }
        if not self._patterns:
            raise ConfigurationError(
                "no contract says which files are its own: give the tables `config: meta: files: <pattern>`"
            )
        dumps = {name: one for name, one in contracts.items() if one.files is not None and one.pattern == "full_dump"}
        self._roots = {name: _root_of(contract) for name, contract in dumps.items()}
        self._markers = {name: _markers_of(contract) for name, contract in dumps.items()}

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that have files."""
        return tuple(self._patterns)

    def table_of(self, path: str) -> str:
        """Return the table of an object.

        Args:
            path: its path below the place files are read from.

        Raises:
            DecodeError: `unknown_object` when no pattern matches, `ambiguous_object` when more than one does.
        """
        found = [name for name, pattern in self._patterns.items() if pattern.fullmatch(path)]
        if not found:
            raise DecodeError("unknown_object", f"{path}: matches the `files` pattern of no contract")
        if len(found) > 1:
            raise DecodeError("ambiguous_object", f"{path}: matches the `files` patterns of {', '.join(found)}")
        return found[0]

    def is_of(self, table: str, path: str) -> bool:
        """Tell whether an object matches the pattern of a table.

        Args:
            table: the table; it has files.
            path: the object's path below the place files are read from.
        """
        return self._patterns[table].fullmatch(path) is not None

    def dump_of(self, table: str, path: str) -> FileDump | None:
        """Return the full dump of an object.

        Args:
            table: its table.
            path: its path below the place files are read from.

        Returns:
            The dump; None when the table does not come as dumps.
        """
        root = self._roots.get(table)
        found = root.match(path) if root is not None else None
        return FileDump(table, found["dump_id"], found["root"]) if found else None

    def marker_of(self, path: str) -> FileDump | None:
        """Return the dump that an object declares complete.

        Args:
            path: its path below the place files are read from.

        Returns:
            The dump; None when the object is no marker of one.
        """
        for table, pattern in self._markers.items():
            if found := pattern.fullmatch(path):
                return FileDump(table, found["dump_id"], found["root"])
        return None

    def claimant(self, path: str) -> str | None:
        """Return the table that an object belongs to, also as the marker of one of its dumps.

        Args:
            path: its path below the place files are read from.

        Returns:
            The table; None when the object is hidden, or no table or more than one claims it.
        """
        if (dump := self.marker_of(path)) is not None:
            return dump.table
        try:
            return None if is_hidden(path) else self.table_of(path)
        except DecodeError:
            return None

    def is_wanted(self, path: str) -> bool:
        """Tell whether an object is to be looked at: hidden ones are not, but for the markers of dumps.

        Args:
            path: its path below the place files are read from.
        """
        return not is_hidden(path) or self.marker_of(path) is not None


def is_marker_name(path: str) -> bool:
    """Tell whether an object is called as markers are, of whichever dump.

    Args:
        path: its path.
    """
    return path.endswith(tuple(f"{separator}{name}" for separator in "/." for name in _MARKERS))


def is_manifest_of(dump: FileDump, path: str) -> bool:
    """Tell whether an object is the list of a dump's objects.

    Args:
        dump: the dump.
        path: of the object.
    """
    return path.removeprefix(dump.root)[1:] in MANIFESTS


def is_hidden(path: str) -> bool:
    """Tell whether an object is none of the data: a marker, or what another tool has not finished.

    Args:
        path: its path; as with Spark and Hive, a name or folder that begins with `_` or `.` is hidden.
    """
    return path.endswith("/") or any(part.startswith(("_", ".")) for part in path.split("/"))


def is_visible(path: str) -> bool:
    """Tell whether an object is none of those that `is_hidden` knows.

    Args:
        path: its path.
    """
    return not is_hidden(path)


def pattern_of(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    Args:
        glob: `*` and `?` stay within a folder's name, `**` goes through folders, `{dump_id}` is a name's part.
    """
    return re.compile(_DUMP_ID.join(_expression(part) for part in glob.split(DUMP_PLACEHOLDER)), re.DOTALL)


def _expression(glob: str) -> str:
    return "".join(_MEANINGS.get(part) or re.escape(part) for part in _PARTS.findall(glob))


def _root_of(contract: TableContract) -> re.Pattern[str]:
    """Return what matches the beginning of an object's path: up to the end of the name that holds the dump's id."""
    head, _, tail = (contract.files or "").partition(DUMP_PLACEHOLDER)
    rest, slash, _ = tail.partition("/")
    return re.compile(f"(?P<root>{re.escape(head)}{_DUMP_ID}{re.escape(rest)})(?={slash or '$'})")


def _markers_of(contract: TableContract) -> re.Pattern[str]:
    """Return what matches the paths of markers: in the dump's folder, or after the name of its object and a point."""
    head, _, tail = (contract.files or "").partition(DUMP_PLACEHOLDER)
    rest, slash, _ = tail.partition("/")
    names = "|".join(map(re.escape, _MARKERS))
    separator = re.escape(slash or ".")
    return re.compile(f"(?P<root>{re.escape(head)}{_DUMP_ID}{re.escape(rest)}){separator}(?:{names})")
