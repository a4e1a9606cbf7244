"""What the raw tables know, asked in BigQuery without holding up the event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.clock import Clock, utc_now
from core.contracts import TableContract
from core.errors import ConfigurationError, UnavailableError
from core.retry import retrying_async
from core.settings import Settings
from ingest.detect.queries import absent_keys, dump_size, latest_rows, set_members
from ingest.detect.state import NO_CHANGE, Known, fingerprint_of
from ingest.settings import IngestSettings

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLIENT_ERRORS: Final = range(400, 500)
_PASSING: Final = frozenset({408, 409, 429})
_PAGE_ROWS: Final = 5_000
_RETRY: Final = bigquery.DEFAULT_RETRY


class LatestRows(Protocol):
    """What the detector asks for the rows it has not in memory."""

    async def latest(self, contract: TableContract, keys: Sequence[bytes]) -> Mapping[bytes, Known]:
        """Return the last state of rows.

        Args:
            contract: their table.
            keys: canonical keys.

        Returns:
            The states of those that were ever there.
        """


class RawTables:
    """Asks the raw tables; each question is one query, whatever the number of keys."""

    def __init__(
        self, client: bigquery.Client, settings: Settings, tunables: IngestSettings, clock: Clock = utc_now
    ) -> None:
        """Prepare to ask.

        Args:
            client: of the project that runs the queries.
            settings: where the tables are.
            tunables: how far to look back, patience.
            clock: the present instant.
        """
        self._client = client
        self._settings = settings
        self._tunables = tunables
        self._clock = clock

    async def latest(self, contract: TableContract, keys: Sequence[bytes]) -> Mapping[bytes, Known]:
        """Return the last state of rows, see `LatestRows`.

        Raises:
            UnavailableError: when BigQuery did not answer, however often it was asked.
            ConfigurationError: when it refuses the question.
        """
        if not keys:
            return {}
        parameters = [_texts("keys", [key.decode() for key in keys]), self._since()]
        found = await self._ask(latest_rows(self._settings, contract), parameters)
        truncated = max((row.order_key for row in found if row.row_key is None), default="")
        return {row.row_key.encode(): _known(row, truncated) for row in found if row.row_key is not None}

    async def members(
        self, contract: TableContract, shared: Sequence[Sequence[str]]
    ) -> Mapping[tuple[str, ...], Mapping[bytes, str]]:
        """Return which rows stand in some sets.

        Args:
            contract: their table.
            shared: of each set, the values of the set columns as text.

        Returns:
            By those values, the positions of the set's rows by canonical key.

        Raises:
            MillraceError: as `latest`.
        """
        columns = [sorted(set(values)) for values in zip(*shared, strict=True)]
        parameters = [_texts(f"shared_{number}", values) for number, values in enumerate(columns)]
        found = await self._ask(set_members(self._settings, contract), [*parameters, self._since()])
        sets: dict[tuple[str, ...], dict[bytes, str]] = {tuple(values): {} for values in shared}
        for row in found:
            values = tuple(row[f"shared_{number}"] for number in range(len(columns)))
            if values in sets:
                sets[values][row.row_key.encode()] = row.position
        return sets

    async def dump_rows(self, contract: TableContract, dump: str) -> int:
        """Return how many rows of a dump have landed, each key once.

        Args:
            contract: the table.
            dump: position of the dump.

        Raises:
            MillraceError: as `latest`.
        """
        [row] = await self._ask(dump_size(self._settings, contract), [_text("dump", dump)])
        return int(row.row_count)

    async def absent(self, contract: TableContract, dump: str) -> Sequence[tuple[int, bytes]]:
        """Return the keys that were there before a dump, are not in it, and are not deleted yet.

        Args:
            contract: the table.
            dump: position of the dump.

        Returns:
            A number from 1 on, the same one whenever it is asked, and the canonical key.

        Raises:
            MillraceError: as `latest`.
        """
        found = await self._ask(absent_keys(self._settings, contract), [_text("dump", dump)])
        return [(int(row.number), row.row_key.encode()) for row in found]

    def _since(self) -> bigquery.ScalarQueryParameter:
        days = self._tunables.detect_lookback_days
        return bigquery.ScalarQueryParameter(
            "since", "TIMESTAMP", self._clock() - timedelta(days=days) if days else _EVER
        )

    async def _ask(self, sql: str, parameters: list[Any]) -> list[Any]:
        policy = self._tunables.retry_policy(self._tunables.append_attempts)
        rows: list[Any] = await retrying_async(policy, "look up")(asyncio.to_thread, self._run, sql, parameters)
        return rows

    def _run(self, sql: str, parameters: list[Any]) -> list[Any]:
        timeout_s = self._tunables.detect_timeout_s
        # A cached result might be older than the rows that landed a moment ago.
        config = bigquery.QueryJobConfig(query_parameters=parameters, use_query_cache=False)
        try:
            # The client's own retries would go on for ten minutes, and ours know when to give up.
            job = self._client.query(sql, job_config=config, timeout=timeout_s, retry=None, job_retry=None)
            result = job.result(
                timeout=timeout_s, page_size=_PAGE_ROWS, retry=_RETRY.with_timeout(timeout_s), job_retry=None
            )
            return list(result)
        except GoogleAPICallError as error:
            if error.code in _CLIENT_ERRORS and error.code not in _PASSING:
                raise ConfigurationError(f"look up: BigQuery refuses the query: {error.message}") from error
            raise UnavailableError(f"look up: BigQuery did not answer: {error.message}") from error
        except (GoogleAPIError, GoogleAuthError, OSError, TimeoutError) as error:
            raise UnavailableError(f"look up: BigQuery did not answer: {error}") from error


def _known(row: Any, truncated: str) -> Known:
    if row.op == "DELETE" or row.order_key < truncated:
        return Known(max(row.order_key, truncated), "DELETE", None)
    payload = None if row.payload is None else row.payload.encode()
    return Known(row.order_key, NO_CHANGE if row.is_unchanged else row.op, fingerprint_of(payload))


def _texts(name: str, values: Sequence[str]) -> bigquery.ArrayQueryParameter:
    return bigquery.ArrayQueryParameter(name, "STRING", list(values))


def _text(name: str, value: str) -> bigquery.ScalarQueryParameter:
    return bigquery.ScalarQueryParameter(name, "STRING", value)
