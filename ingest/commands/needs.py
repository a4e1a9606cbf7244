"""Commands that only make sense where messages come by Pub/Sub, and what serves instead where they do not."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.settings import Settings
from ingest.startup import Startup

if TYPE_CHECKING:
    from ingest.dead_letters.archive import LetterFile

_SETTING = "MILLRACE_INGEST_TRANSPORT"
_FILES_SHOWN = 100


def need_pubsub(startup: Startup, command: str, *, pulled: bool = False) -> None:
    """Refuse a command that looks at Pub/Sub where messages come otherwise.

    Args:
        startup: which transport is in use.
        command: what was asked for, for the message.
        pulled: whether Pub/Sub must wait to be asked, rather than call us.

    Raises:
        UsageError: when messages come otherwise.
    """
    transport = startup.tunables.transport
    allowed = ("pubsub",) if pulled else ("pubsub", "push")
    if transport not in allowed:
        raise UsageError(
            f"{command} reads Pub/Sub, but {_SETTING} is {transport!r}; set it to 'pubsub' if the messages stand there"
        )


def refuse_replay(startup: Startup, begin: datetime) -> None:
    """Refuse to seek back what is no subscription, and say what to do instead.

    Args:
        startup: which transport is in use.
        begin: where the replay was to begin.

    Raises:
        UsageError: when messages come by Kafka or as files.
    """
    transport = startup.tunables.transport
    if transport == "kafka":
        raise UsageError(_kafka(begin))
    if transport == "files":
        raise UsageError(_files(startup, begin))


def refuse_letters_of_files(settings: Settings, found: "Sequence[LetterFile]") -> None:
    """Refuse to publish dead letters where nobody would take them in, and say what to do instead.

    Args:
        settings: which project the tables are in.
        found: the files that the letters are about.

    Raises:
        UsageError: always.
    """
    from ingest.files.settings import load_files_settings

    files = load_files_settings()
    why = (
        f"nothing was published: {_SETTING} is 'files', and a row comes again only with its file. A file that was "
        "mended is a new version and is loaded by itself. Where the contract or the decoder was at fault,"
    )
    if not found:
        raise UsageError(
            f"nothing was published: {_SETTING} is 'files', and none of these letters came as a file's row; set it to "
            "where they came from"
        )
    if files.notification_topic is not None:
        since = min(one.found_at for one in found)
        seek = _seek_files(f"{files.notification_topic}{settings.subscription_suffix}", since)
        raise UsageError(f"{why} seek the notifications back, to the first of {len(found)} files:\n{seek}")
    scheme = files.uri.partition("://")[0]
    uris = ", ".join(_literal(f"{scheme}://{one.path}") for one in found[:_FILES_SHOWN])
    more = len(found) - _FILES_SHOWN
    rest = f"\n{more} more files: choose fewer letters at a time" if more > 0 else ""
    raise UsageError(f"{why} {_forget_files(settings, f'uri in ({uris})')}{rest}")


def _kafka(begin: datetime) -> str:
    from ingest.kafka.settings import load_kafka_settings

    kafka = load_kafka_settings()
    instant = begin.isoformat(timespec="milliseconds")[:-6]
    return (
        "`ingest replay` seeks subscriptions of Pub/Sub; Kafka keeps the offsets of a group, and changes them only "
        "while no member runs. Stop every ingester of the group, then\n"
        f"  kafka-consumer-groups --bootstrap-server {kafka.bootstrap_servers} --group {kafka.group_id} "
        f"--topic <topic> --reset-offsets --to-datetime {instant} --execute\n"
        "and start them again: the rows land with the ids they had"
    )


def _files(startup: Startup, begin: datetime) -> str:
    from ingest.files.settings import load_files_settings

    files = load_files_settings()
    if files.notification_topic is not None:
        subscription = f"{files.notification_topic}{startup.settings.subscription_suffix}"
        return (
            "`ingest replay` seeks the subscriptions of tables; files have one of their own. Seek that back:\n"
            f"{_seek_files(subscription, begin)}"
        )
    forget = _forget_files(startup.settings, f"loaded_at >= '{begin.isoformat()}'")
    return (
        "`ingest replay` seeks subscriptions of Pub/Sub; a file is loaded once a version, as `audit.loaded_files` "
        f"says. To have files again, {forget}"
    )


def _seek_files(subscription: str, begin: datetime) -> str:
    return (
        f"  gcloud pubsub subscriptions seek {subscription} --time={begin.isoformat()}\n"
        "and the ingester loads the files again, with the ids the rows had"
    )


def _forget_files(settings: Settings, condition: str) -> str:
    table = f"{settings.project}.{settings.audit_dataset}.loaded_files"
    forget = f"delete from `{table}` where {condition}"  # noqa: S608 - shown, and not run
    return f"stop the ingester, forget them:\n  {forget}\nand start it again: the rows land with the ids they had"


def _literal(text: str) -> str:
    """Return a text as a literal of GoogleSQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
