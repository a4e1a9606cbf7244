"""Commands that only make sense where messages come by Pub/Sub, and what serves instead where they do not."""

from datetime import datetime

from core.errors import UsageError
from core.settings import Settings
from ingest.startup import Startup

_SETTING = "MILLRACE_INGEST_TRANSPORT"


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
    """Refuse to land files again, and say what to do instead.

    Args:
        startup: which transport is in use.
        begin: where the replay was to begin.

    Raises:
        UsageError: when messages come as files.
    """
    if startup.tunables.transport == "files":
        raise UsageError(_files(startup, begin))


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
