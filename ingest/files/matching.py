"""Which table an object belongs to: the one whose contract's `files` pattern matches its path."""

import re
from collections.abc import Mapping

from core.contracts import Contracts
from core.errors import ConfigurationError, DecodeError

_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANINGS: Mapping[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class TableMatcher:
    """Tells tables by the paths of objects."""

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


def is_hidden(path: str) -> bool:
    """Tell whether an object is none of the data: a marker, or what another tool has not finished.

    Args:
        path: its path; as with Spark and Hive, a name or folder that begins with `_` or `.` is hidden.
    """
    return path.endswith("/") or any(part.startswith(("_", ".")) for part in path.split("/"))


def pattern_of(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    Args:
        glob: `*` and `?` stay within a folder's name, `**` goes through folders.
    """
    return re.compile("".join(_MEANINGS.get(part) or re.escape(part) for part in _PARTS.findall(glob)), re.DOTALL)
