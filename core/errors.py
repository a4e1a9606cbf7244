"""The errors Millrace raises, each knowing whether trying again can help.

A caller decides between "wait and retry", "dead-letter" and "stop" from the type alone: see
`MillraceError.retryable`. Messages name the fault and the fix, for they are what the user reads.
"""


class MillraceError(Exception):
    """Any fault that Millrace itself reports.

    Attributes:
        retryable: whether the same call may succeed later without anybody changing anything.
    """

    retryable = False


class ConfigurationError(MillraceError):
    """A setting, contract or argument is wrong; the message says where and what would be right."""


class UsageError(ConfigurationError):
    """What the user wrote is wrong, and nothing was tried: a command ends with 2 then, else with 1."""


class CredentialsError(ConfigurationError):
    """There are no credentials; the message says how to get some, or do without."""


class ContractError(ConfigurationError):
    """A table contract cannot be read or contradicts itself."""


class DecodeError(MillraceError):
    """A message cannot be understood; it belongs in the dead letters.

    Attributes:
        reason: a stable code for counting and filtering, such as `invalid_json`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnavailableError(MillraceError):
    """A service did not answer, or asked us to slow down; the same call may succeed later.

    Attributes:
        retry_after_s: how long the service asked us to wait, in seconds, when it said so.
    """

    retryable = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnreadableError(MillraceError):
    """Data that should be there cannot be read: truncated, replaced or missing. Never "zero rows"."""


class LockedError(MillraceError):
    """Somebody else holds the lock; the message says who and since when."""

    retryable = True
