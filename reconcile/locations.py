"""Where in a YAML file a key stands, as its author would say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import yaml

from reconcile.source_config import SOURCE_TAGS

Place = tuple[int | str, ...]
"""The path to a key, as pydantic tells it: names of keys, and numbers within lists."""

_DESCRIBED: Final = frozenset({"warehouse", "snapshot"})


@dataclass(frozen=True)
class Written:
    """A configuration as its author wrote it.

    Attributes:
        path: the file.
        text: what stands in it, valid YAML.
    """

    path: Path
    text: str

    def located(self, place: Place) -> str:
        """Name a key and its line: `line 12: comparisons[2] (members).columns.email.case`.

        Args:
            place: the path to the key.

        Returns:
            The words; a key that is missing is on the line of what lacks it.
        """
        line, words = self._found(place)
        return f"line {line}: {words or 'the file'}"

    def line(self, place: Place) -> str:
        """Name the file and the line of a key: `reconcile.yml, line 12`.

        Args:
            place: the path to the key.
        """
        return f"{self.path}, line {self.number(place)}"

    def number(self, place: Place) -> int:
        """Return the line of a key, from 1.

        Args:
            place: the path to the key.
        """
        return self._found(place)[0]

    def refusal(self, faults: Sequence[str]) -> str:
        """Say that the file is not valid, and why.

        Args:
            faults: each fault, with its line.
        """
        return f"{self.path} is not valid:\n  " + "\n  ".join(faults)

    @cached_property
    def _root(self) -> yaml.Node | None:
        return yaml.compose(self.text, Loader=yaml.SafeLoader)

    def _found(self, place: Place) -> tuple[int, str]:
        node = self._root
        line = node.start_mark.line + 1 if node else 1
        words, last = "", ""
        for part in place:
            if part in SOURCE_TAGS and last in _DESCRIBED:
                # Tells which kind of source it was taken for; nothing stands there in the file.
                continue
            last = str(part)
            node, found = _below(node, part)
            line = found or line
            if isinstance(part, int):
                words += f"[{part}]" + _named(node)
            elif found or part.isidentifier():
                words += f".{part}" if words else part
        return line, words


def _below(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, int | None]:
    """Return what stands under a key or at a place in a list, and on which line."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None, None


def _named(node: yaml.Node | None) -> str:
    names = (_below(node, key)[0] for key in ("name", "contract"))
    return next((f" ({name.value})" for name in names if isinstance(name, yaml.ScalarNode)), "")
