"""What every source does, whatever it is: say what it holds, count it, sum it up, hand over its rows.

A source is opened for one comparison and pins what it reads when it is opened: nothing that is written later is seen,
or it is noticed and refused. Whatever cannot be read whole raises `UnreadableError`; no source ever says "no rows"
because it could not read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.contracts import DataType
from core.pinned import ObjectRef
from reconcile.compare.tree import Leaves
from reconcile.plans import InFlightPlan, PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.read.filters import Condition
from reconcile.read.spill import Unit


@dataclass(frozen=True)
class Pin:
    """As of what a source is read.

    Attributes:
        words: the version in words, such as `version 12` or a transaction's snapshot; empty when the source has none.
        at: the instant (UTC), where the source knows one.
        objects: files that are read, each only while it stays the version that was listed.
    """

    words: str = ""
    at: datetime | None = None
    objects: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True)
class Predicate:
    """Which rows of a source are wanted.

    Attributes:
        where: conditions that must all hold.
        in_flight: rows that it calls in flight are wanted whatever the conditions say, for one that left their scope
            (a delete) explains why the other side still holds it; None when they do not matter.
    """

    where: tuple[Condition, ...] = ()
    in_flight: InFlightPlan | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at."""
        names = [condition.column for condition in self.where]
        return tuple(dict.fromkeys([*names, *([self.in_flight.column] if self.in_flight else [])]))


EVERY_ROW = Predicate()


@dataclass(frozen=True)
class Wanted:
    """A column to read.

    Attributes:
        name: its name in the source.
        data_type: type it is compared in; sources without types of their own (CSV, JSON) read it as that.
        cast: whether the configuration allows a conversion with loss.
    """

    name: str
    data_type: DataType
    cast: bool = False


@dataclass(frozen=True)
class Part:
    """Some of the rows of a source.

    Attributes:
        name: what they are part of, for messages: a file, or the table.
        read: yields batches that hold the wanted columns, by name.
    """

    name: str
    read: Unit


@dataclass(frozen=True)
class Rows:
    """The rows of a source, to be read.

    Attributes:
        parts: together, the rows; they share nothing and may be read at the same time.
        receipt: by what name the source knows this reading, such as that of a read session; None when it has none.
        check: to be called once every part was read to its end; raises `UnreadableError` when what was read is not
            what was promised.
    """

    parts: tuple[Part, ...]
    receipt: str | None = None
    check: Callable[[], None] = lambda: None


class Source(Protocol):
    """A table, as of one instant."""

    @property
    def pin(self) -> Pin:
        """As of what it is read."""

    def schema(self) -> dict[str, DataType | None]:
        """Return the type of each column, in order; None for one that cannot be compared.

        Raises:
            UnreadableError: when the table is not there, or its format says nothing of columns.
        """

    def count(self, predicate: Predicate = EVERY_ROW) -> int:
        """Return the number of rows.

        Args:
            predicate: which of them.

        Raises:
            UnreadableError: when it cannot be told.
        """

    def checksums(
        self, columns: tuple[PlannedColumn, ...], buckets: KeyBuckets, predicate: Predicate = EVERY_ROW
    ) -> Leaves:
        """Return the number of rows and the sum of their hashes by bucket, alike for alike rows of any two sources.

        Args:
            columns: the compared columns under the source's names, the key first; their rules are applied first.
            buckets: how keys are put into buckets.
            predicate: which rows.

        Raises:
            UnreadableError: when it cannot be read whole.
            ConfigurationError: when a column is of a type that engines spell differently.
        """

    def rows(self, columns: tuple[Wanted, ...], predicate: Predicate = EVERY_ROW) -> Rows:
        """Return the rows, to be read in parts that share nothing.

        Args:
            columns: the columns wanted.
            predicate: which rows.

        Raises:
            UnreadableError: when they cannot be read; the parts and the check raise it, too.
        """


def wanted(columns: tuple[PlannedColumn, ...]) -> tuple[Wanted, ...]:
    """Return the columns to read for compared columns: each once, those of maps included.

    Args:
        columns: the compared columns, as the source has them.
    """
    # As it is compared, a column is read; what a map would have it as comes second.
    found = {column.name: Wanted(column.name, column.data_type, column.cast) for column in columns if not column.origin}
    for column in columns:
        for name, kind in column.origin.inputs if column.origin else ():
            found.setdefault(name, Wanted(name, kind, cast=True))
    return tuple(found.values())
