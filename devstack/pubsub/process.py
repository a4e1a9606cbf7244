"""The server in a process of its own, for synchronous callers and for those with event loops of their own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STOP_TIMEOUT_S: Final = 10.0


@contextmanager
def running_server() -> Iterator[str]:
    """Runs a server on a free port for the length of a `with` block.

    It is a child process and not a thread, because gRPC for asyncio supports one event loop per process.

    Yields:
        "127.0.0.1:port", the value for `PUBSUB_EMULATOR_HOST`.

    Raises:
        RuntimeError: when the server does not start; its own message is on standard error.

    Example:
        with running_server() as address:
            os.environ["PUBSUB_EMULATOR_HOST"] = address
    """
    command = [sys.executable, "-m", "devstack.pubsub", "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            port = child.stdout.readline().strip() if child.stdout is not None else ""
            if not port:
                raise RuntimeError("The Pub/Sub server did not start; see its message on standard error.")
            yield f"127.0.0.1:{port}"
        finally:
            child.terminate()
            try:
                child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
