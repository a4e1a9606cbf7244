"""Commands that only make sense where messages come by Pub/Sub, and what serves instead where they do not."""

from core.errors import UsageError
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
