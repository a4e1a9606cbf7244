"""What is known of a running stack, kept in a file that only its owner can read."""

import os
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer

from core.errors import MillraceError

FILE = "state.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessId(_Model):
    """A process that cannot be mistaken for a later one with the same number.

    Attributes:
        pid: number of the process.
        created: when it was created, in seconds since the epoch, as the system tells it.
    """

    pid: int
    created: float

    def find(self) -> psutil.Process | None:
        """Return the process while it runs, else None."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class ServiceState(_Model):
    """A running service.

    Attributes:
        process: its process.
        ports: port number by port name.
        restarts: how often the supervisor started it again.
    """

    process: ProcessId
    ports: dict[str, int]
    restarts: int = 0


class StackState(_Model):
    """A running stack.

    Attributes:
        supervisor: the process that watches over the services.
        api_token: bearer token of the member API.
        services: the running services by name.
    """

    supervisor: ProcessId
    api_token: SecretStr
    services: dict[str, ServiceState]

    @field_serializer("api_token")
    def _token(self, token: SecretStr) -> str:
        # The file is readable by its owner only; commands that follow need the token.
        return token.get_secret_value()


def process_id(pid: int) -> ProcessId:
    """Return the identity of a running process.

    Args:
        pid: number of a process that runs.

    Returns:
        Its identity.
    """
    return ProcessId(pid=pid, created=psutil.Process(pid).create_time())


def write_state(folder: Path, state: StackState) -> None:
    """Replace the state file in one step.

    Args:
        folder: the stack's folder.
        state: what to keep.
    """
    temporary = folder / f"{FILE}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(state.model_dump_json(indent=2))
    temporary.replace(folder / FILE)


def read_state(folder: Path) -> StackState | None:
    """Return the state of the stack in `folder`, or None when none was started.

    Args:
        folder: the stack's folder.

    Returns:
        The state as last written; its processes may have ended since.

    Raises:
        MillraceError: when the file is damaged.
    """
    path = folder / FILE
    try:
        return StackState.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise MillraceError(f"{path} is damaged; remove it and run `devstack up`") from error
