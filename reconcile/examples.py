"""Which of the differences of one kind a report shows: each thing that is wrong first, then whatever comes first."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from reconcile.result import Difference

EXAMPLES: Final = 3
"""Of every changed column so many rows come before those that merely have the first keys."""


def examples(found: Sequence[Difference], most: int) -> tuple[Difference, ...]:
    """Choose what to show of differences of one kind, so that a fault of many rows hides no other.

    Of each changed column, the first rows in which it differs are chosen, up to `EXAMPLES`, and then rows in the order
    of the key. `compare/sql/pick.sql.j2` chooses alike among all differences of a comparison.

    Args:
        found: the differences, in the order of the key.
        most: how many to show; more are only to show one of each changed column, and none when it is 0.

    Returns:
        The chosen, in the order of the key.
    """
    if not most:
        return ()
    seen: Counter[str] = Counter()
    ranks = []
    for place, difference in enumerate(found):
        columns = [change.column for change in difference.changes]
        seen.update(columns)
        ranks.append((min([EXAMPLES + 1, *(seen[column] for column in columns)]), place))
    chosen = [place for n, (rank, place) in enumerate(sorted(ranks)) if n < most or rank == 1]
    return tuple(found[place] for place in sorted(chosen))
