"""Whether what messages come from can be reached, for `ingest doctor`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.contracts import Contracts
from core.pinned import open_store
from core.settings import Settings


@dataclass(frozen=True)
class Look:
    """A look at one thing.

    Attributes:
        name: what is looked at.
        look: looks, and says what was found; raises a `MillraceError` when it is not as it should be. Blocks.
        fix: what to do then.
    """

    name: str
    look: Callable[[], str]
    fix: str


def looks(transport: str, settings: Settings, contracts: Contracts) -> Iterator[Look]:
    """Return the looks at a transport other than Pub/Sub, which `ingest.doctor` knows itself.

    Args:
        transport: the value of `MILLRACE_INGEST_TRANSPORT`.
        settings: where the services are.
        contracts: the tables.

    Yields:
        One look a thing.
    """
    if transport == "kafka":
        yield Look("Kafka topics", lambda: _kafka(contracts), "check MILLRACE_INGEST_KAFKA_* and that the brokers run")
    elif transport == "files":
        yield Look("files", lambda: _files(settings, contracts), "check MILLRACE_INGEST_FILES_* and the contracts")


def _kafka(contracts: Contracts) -> str:
    from ingest.kafka import load_kafka_settings
    from ingest.kafka.cluster import check_topics

    return check_topics(load_kafka_settings(), [*contracts.by_topic(), *contracts.notification_topics()])


def _files(settings: Settings, contracts: Contracts) -> str:
    from ingest.files.matching import TableMatcher
    from ingest.files.settings import load_files_settings

    files = load_files_settings()
    tables = TableMatcher(contracts).tables
    folders = open_store(files.uri, settings).folders()
    found = "told by notifications" if files.notification_topic else "listed"
    return f"{files.uri} answers, with {len(folders)} folders; {len(tables)} tables have files, {found}"
