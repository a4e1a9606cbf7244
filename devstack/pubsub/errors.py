"""What the server refuses, in the canonical codes of gRPC.

The state machine knows nothing of gRPC; it raises `PubSubError` with a code's name, and the handlers
turn that into a status.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from core.errors import MillraceError

NO_FAILURES: Final[Mapping[str, str]] = MappingProxyType({})


class Code(Enum):
    """The canonical codes this server answers with (https://grpc.io/docs/guides/status-codes/)."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNIMPLEMENTED = "UNIMPLEMENTED"


class PubSubError(MillraceError):
    """A request the server refuses.

    Attributes:
        code: the status to answer with.
        ack_failures: the failure of each acknowledgement id, for `google.rpc.ErrorInfo.metadata`; empty unless
            acknowledgements of an exactly-once subscription failed.
    """

    def __init__(self, code: Code, message: str, ack_failures: Mapping[str, str] = NO_FAILURES) -> None:
        super().__init__(message)
        self.code = code
        self.ack_failures = ack_failures


def invalid(message: str) -> PubSubError:
    """Returns the refusal of a request that can never succeed as it stands."""
    return PubSubError(Code.INVALID_ARGUMENT, message)


def not_found(kind: str, name: str) -> PubSubError:
    """Returns the refusal of a request on a resource that does not exist.

    Args:
        kind: what was looked for, such as "Topic".
        name: its full resource name.
    """
    return PubSubError(Code.NOT_FOUND, f"{kind} {name} does not exist; create it first.")


def already_exists(kind: str, name: str) -> PubSubError:
    """Returns the refusal to create a resource whose name is taken."""
    return PubSubError(Code.ALREADY_EXISTS, f"{kind} {name} already exists.")
