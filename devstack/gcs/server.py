"""Serves Cloud Storage on loopback."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import uvicorn

from core.clients import publisher_client
from core.errors import UnavailableError
from core.settings import Settings
from devstack.gcs.app import gcs_app
from devstack.gcs.store import Buckets, Publish

_HOST: Final = "127.0.0.1"
_POLL_S: Final = 0.005
_START_TIMEOUT_S: Final = 20.0
_PUBLISH_TIMEOUT_S: Final = 10.0


@contextmanager
def running_gcs(settings: Settings | None = None) -> Iterator[str]:
    """Serve an empty Cloud Storage in a thread of this process, and stop at the end.

    Args:
        settings: where the Pub/Sub is that notifications go to; None to send none.

    Yields:
        The value for `STORAGE_EMULATOR_HOST`.

    Raises:
        UnavailableError: when the server does not come up.
    """
    with _publishing(settings) as publish, socket.create_server((_HOST, 0)) as listener:
        config = uvicorn.Config(
            gcs_app(Buckets(publish)), access_log=False, log_level="critical", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise UnavailableError("the local Cloud Storage did not start")
            time.sleep(_POLL_S)
        try:
            yield f"http://{_HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _publishing(settings: Settings | None) -> Iterator[Publish]:
    if settings is None:
        yield _tell_nobody
        return
    client = publisher_client(settings)

    def publish(topic: str, attributes: Mapping[str, str], data: bytes) -> None:
        # Notifications carry no ordering key.
        client.publish(topic, data, **attributes).result(_PUBLISH_TIMEOUT_S)

    try:
        yield publish
    finally:
        client.stop()


def _tell_nobody(topic: str, attributes: Mapping[str, str], data: bytes) -> None:
    """Publish nothing."""
