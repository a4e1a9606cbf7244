"""What is wrong with a configuration, gathered over all comparisons while they are planned, and told at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import ConfigurationError, CredentialsError, UnreadableError
from reconcile.config import ReconcileConfig
from reconcile.locations import Place


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        place: the path to its key.
        message: what is wrong, and what would be right.
    """

    place: Place
    message: str


@dataclass(frozen=True)
class Faults:
    """The faults of a part of a configuration, found so far.

    Attributes:
        config: the whole configuration.
        place: the path to the part.
        found: the faults of the whole; all parts put theirs here.
    """

    config: ReconcileConfig
    place: Place = ()
    found: list[Fault] = field(default_factory=list)

    def below(self, *keys: int | str) -> "Faults":
        """Return the faults of a part of this part.

        Args:
            keys: the path to it, from here.
        """
        return Faults(self.config, (*self.place, *keys), self.found)

    def add(self, message: str, *keys: int | str) -> None:
        """Add a fault.

        Args:
            message: what is wrong, and what would be right.
            keys: the path to its key, from here.
        """
        fault = Fault((*self.place, *keys), message)
        if fault not in self.found:
            self.found.append(fault)

    @contextmanager
    def at(self, *keys: int | str) -> Iterator[None]:
        """Turn what is refused within into a fault, and go on; what cannot be read is still raised, with its line.

        Args:
            keys: the path to what is planned within, from here.
        """
        try:
            yield
        except CredentialsError:
            # Nothing that the configuration could mend.
            raise
        except ConfigurationError as error:
            self.add(str(error), *keys)
        except UnreadableError as error:
            raise UnreadableError(f"{error}{self.line(*keys)}") from error

    def concern(self, *keys: int | str) -> bool:
        """Return whether there are faults of a key, or below it.

        Args:
            keys: the path to it, from here.
        """
        place = (*self.place, *keys)
        return any(fault.place[: len(place)] == place for fault in self.found)

    def line(self, *keys: int | str) -> str:
        """Return where a key stands, to be put after a message: ` (reconcile.yml, line 7)`; nothing without a file.

        Args:
            keys: the path to it, from here.
        """
        written = self.config.written
        return "" if written is None else f" ({written.line((*self.place, *keys))})"

    def check(self) -> None:
        """Refuse the configuration when there are faults.

        Raises:
            ConfigurationError: naming every one, with its line where the configuration was read from a file.
        """
        if not self.found:
            return
        written = self.config.written
        if written is None:
            raise ConfigurationError("\n".join(f"{self._path(fault.place)}: {fault.message}" for fault in self.found))
        found = sorted(self.found, key=lambda fault: written.number(fault.place))
        raise ConfigurationError(written.refusal([f"{written.located(one.place)}: {one.message}" for one in found]))

    def _path(self, place: Place) -> str:
        if place[:1] == ("comparisons",) and isinstance(place[1], int):
            place = (self.config.comparisons[place[1]].name, *place[2:])
        return ".".join(map(str, place))
