"""Draws from the pools with one seeded source of randomness."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from core.contracts import Contracts
from devstack.world.pools import Country, Pools

T = TypeVar("T")

_DAY_S = 86_400


@dataclass
class Sampler:
    """What the row factories draw from.

    Attributes:
        rng: the only source of randomness.
        pools: names, places and texts.
        contracts: where the allowed values stand.
        long_texts: share of long texts among free texts.
    """

    rng: Random
    pools: Pools
    contracts: Contracts
    long_texts: float
    _allowed: dict[tuple[str, str], tuple[str, ...]] = field(init=False, repr=False, default_factory=dict)

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of `choices`, each as likely as the others."""
        # random.choice draws bits until they fit: this is twice as fast and good enough for invented data.
        return choices[int(self.rng.random() * len(choices))]

    def pick_early(self, choices: Sequence[T]) -> T:
        """Return one of `choices`, the earlier the likelier."""
        return choices[int(self.rng.random() ** 2 * len(choices))]

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.rng.random() < probability

    def between(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def allowed(self, table: str, column: str) -> str:
        """Return one of the values the contract allows in a column.

        Args:
            table: the table.
            column: a column with allowed values.

        Returns:
            One of them; the earlier ones are likelier.

        Raises:
            IndexError: when the contract lists none.
        """
        values = self._allowed.get((table, column))
        if values is None:
            values = self._allowed[table, column] = self.contracts[table].column(column).allowed_values
        return self.pick_early(values)

    def country(self) -> Country:
        """Return the country of a new member."""
        return self.pick_early(self.pools.countries)

    def text(self, country: Country) -> str:
        """Return a free text, sometimes a very long one."""
        if self.chance(self.long_texts):
            return self.pick(self.pools.long_texts)
        return self.pick(country.sentences)

    def before(self, at: datetime, days: int) -> datetime:
        """Return an instant in the `days` before `at`, to the microsecond."""
        return at - timedelta(seconds=self.rng.random() * days * _DAY_S)
