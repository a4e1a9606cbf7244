"""A world's story: lived through, delivered, and kept for tests to look at."""

from dataclasses import dataclass
from pathlib import Path

from devstack.world import Change, Ledger, Message, Truth, World

ROOT = Path(__file__).parents[4]
ROUNDS = 3


@dataclass(frozen=True)
class Told:
    """A world that has been lived through and delivered to the end."""

    world: World
    changes: tuple[Change, ...]
    rounds: tuple[tuple[Message, ...], ...]
    truth: Truth
    ledger: Ledger

    @property
    def messages(self) -> list[Message]:
        return [message for messages in self.rounds for message in messages]


def live_through(world: World, *, rounds: int = ROUNDS, events: int = 4_000) -> Told:
    changes: list[Change] = []
    delivered: list[tuple[Message, ...]] = []
    for number in range(rounds):
        changes += world.evolve(events)
        delivered.append(world.deliver(final=number == rounds - 1))
    return Told(world, tuple(changes), tuple(delivered), world.truth(), world.ledger)
