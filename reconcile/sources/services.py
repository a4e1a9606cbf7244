"""The services that sources are read from, each connected when it is first needed and closed at the end."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Self, TypeVar

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from core.clients import bigquery_client, bigquery_read_client
from core.errors import UnreadableError
from core.pinned import ObjectStore, open_store
from core.settings import Settings

_Made = TypeVar("_Made")


class Services:
    """Connections, shared by the comparisons of a run: a comparison of files alone needs no Google Cloud.

    Args:
        settings: where the services are.
        now: what time it is here (UTC).
        snapshot_time: the instant that BigQuery is read as of (UTC), when another task has asked for it already.
    """

    def __init__(self, settings: Settings, now: datetime, snapshot_time: datetime | None = None) -> None:
        self.settings = settings
        self.now = now
        self._snapshot_time = snapshot_time
        self._made: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def snapshot_time(self) -> datetime:
        """The instant BigQuery is read as of (UTC), by its own clock: it refuses one in its future.

        Raises:
            UnreadableError: when BigQuery does not tell.
        """
        return self._snapshot_time or self._once("snapshot_time", self._time_of_bigquery)

    def bigquery(self) -> bigquery.Client:
        """Return the client of BigQuery."""
        return self._once("bigquery", lambda: self._stack.enter_context(bigquery_client(self.settings)))

    def bigquery_read(self) -> BigQueryReadClient:
        """Return the client of the Storage Read API."""
        return self._once("bigquery_read", self._read_client)

    def store(self, uri: str) -> ObjectStore:
        """Return the store of a URI.

        Args:
            uri: `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`.

        Raises:
            ConfigurationError: when the scheme is another one.
        """
        return self._once(f"store {uri}", lambda: open_store(uri, self.settings))

    def _time_of_bigquery(self) -> datetime:
        try:
            [[instant]] = self.bigquery().query_and_wait("select current_timestamp()")
        except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
            raise UnreadableError(
                f"BigQuery does not tell its time (the account needs bigquery.jobUser): {error}"
            ) from error
        found: datetime = instant
        return found

    def _read_client(self) -> BigQueryReadClient:
        client = bigquery_read_client(self.settings)
        self._stack.callback(client.transport.close)
        return client

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            made: _Made = self._made[name]
            return made
