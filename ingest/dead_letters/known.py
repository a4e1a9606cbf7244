"""Whether what was asked for can be there at all: "none" is no answer to a name that is misspelt."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from core.contracts import Contracts, load_contracts
from core.errors import ContractError, UsageError
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.reasons import REASONS
from ingest.files.objects import NAME as FILES


def check_known(filters: Filters, contracts_path: Path) -> None:
    """Refuse filters by which nothing can ever be found; for when nothing was.

    Args:
        filters: what was asked for.
        contracts_path: the folder of the contracts, which name tables and topics; where it holds none, any may be.

    Raises:
        UsageError: when no letter has such a reason, or no contract declares such a table or topic; the nearest is
            named.
    """
    if filters.reason is not None:
        _check(filters.reason, REASONS, "reason", "docs/guides/ingest.md explains them")
    if filters.table is None and filters.topic is None:
        return
    try:
        contracts = load_contracts(contracts_path)
    except ContractError:
        return
    if filters.table is not None:
        _check(filters.table, contracts, "table", f"the tables are {', '.join(contracts)}")
    if filters.topic is not None:
        topics = _topics(contracts)
        _check(filters.topic, topics, "topic", f"the topics are {', '.join(topics)}")


def _topics(contracts: Contracts) -> list[str]:
    """Return the topics that letters may have: those that are read, and what stands for one where a file is unknown."""
    return [*contracts.by_topic(), *contracts.notification_topics(), FILES]


def _check(name: str, known: Iterable[str], what: str, others: str) -> None:
    names = sorted(known)
    if name in names:
        return
    near = get_close_matches(name, names, n=1)
    fix = f"did you mean {near[0]}?" if near else others
    raise UsageError(f"there are no dead letters, and no {what} {name!r} that any could have; {fix}")
