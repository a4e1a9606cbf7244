"""How the ingester runs: batch sizes, flow control, patience. Where it connects to stands in `core.settings`."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import ConfigurationError
from core.retry import RetryPolicy

MAX_REQUEST_BYTES = 8_000_000

LONGEST_S: Final = 31_536_000
"""A year, in seconds: far beyond any patience, and well within what clocks and timers can add up."""

_Count = Annotated[int, Field(ge=1)]
_Milliseconds = Annotated[int, Field(ge=1, le=LONGEST_S * 1_000)]
_Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
_SecondsOrNone = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]


class IngestSettings(BaseSettings):
    """Tunables of the ingester, read from `MILLRACE_INGEST_<NAME>`.

    Attributes:
        transport: how messages come: `pubsub`, `push` (Pub/Sub calls us), `kafka` or `files`; see `ingest.transports`.
        encoder: how rows travel to BigQuery: `proto`, or `arrow` for record batches.
        stream: the stream that rows are appended to: `default`, at least once, or `committed`, with an offset for every
            append, so that one whose answer was lost is not taken twice.
        batch_rows: rows at which an append is sent.
        batch_rows_max: rows of an append at most; more than `batch_rows` are gathered while as many appends are under
            way as may be. When not set, no less than `batch_rows`.
        batch_bytes: bytes of an append at which it is sent, whatever its rows.
        batch_wait_ms: how long a row waits for company at most, in milliseconds.
        batch_wait_min_ms: how long it waits at least, in milliseconds; the slower appends are, the less it waits. When
            not set, no more than `batch_wait_ms`.
        latency_goal_ms: how long waiting and appending should take together, in milliseconds.
        append_concurrency: appends in flight per table.
        append_timeout_s: how long an append may take before its stream counts as lost, in seconds.
        append_attempts: appends of a batch in all before the run gives up.
        outstanding_messages: messages in flight at which pulling pauses.
        outstanding_bytes: bytes in flight at which pulling pauses.
        ack_deadline_s: lease of a message, in seconds.
        ack_batch: acknowledgements of a request at most.
        ack_wait_ms: how long an acknowledgement waits for company, in milliseconds.
        remembered_ids: landed message ids kept, so that a redelivery is acknowledged, not landed again.
        notification_window_ms: how long notifications of one row are gathered, in milliseconds.
        fetch_concurrency: requests to a host of the API at once.
        fetch_timeout_s: how long the API may take to answer, in seconds.
        fetch_attempts: requests for a row in all before it is given up.
        fetch_max_bytes: size of an answer at most, after decompression.
        fetch_cache_bytes: memory for answers kept with their ETag, so that a row that did not change is not sent
            again; 0 for none.
        fetch_breaker_failures: failures in a row after which a host counts as down.
        fetch_breaker_open_s: how long a host that is down is left alone before one request tries it, in seconds.
        fetch_set_pages: pages of a set at most.
        fetch_set_rows: rows of a set at most.
        detect_cache_rows: rows per table whose last state is kept in memory, for tables whose messages do not say
            what happened.
        detect_cache_ttl_s: how long such a state is believed before the warehouse is asked again, in seconds.
        detect_lookback_days: age of the rows the warehouse is asked for, in days; 0 for any age.
        detect_timeout_s: how long such a question may take, in seconds.
        dump_patience_s: how long the end of a full dump waits for its missing rows, in seconds.
        retry_first_wait_s: upper bound of the first wait before another attempt, in seconds.
        retry_longest_wait_s: upper bound of every wait, in seconds.
        oversize_uri: where what fits no row is kept: `s3://bucket/prefix`, `gs://bucket/prefix` or `file:///folder`;
            without it rows over 8 MB are dead-lettered, and dead letters over 7.9 MB are cut.
        watermark_disorder_s: how much older than the newest an event may be that still comes in time, in seconds.
        watermark_idle_s: how long a source must have been quiet for the watermark to follow the clock, in seconds.
        watermark_window_s: time between two reports of the watermarks, in seconds.
        drain_s: how long a stopping run may take to land what it holds, in seconds.
        progress_s: time between two progress events, in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="MILLRACE_INGEST_", frozen=True, extra="forbid")

    transport: Literal["pubsub", "push", "kafka", "files"] = "pubsub"
    encoder: Literal["proto", "arrow"] = "proto"
    stream: Literal["default", "committed"] = "default"
    batch_rows: _Count = 1_000
    batch_rows_max: _Count = 5_000
    batch_bytes: Annotated[int, Field(ge=1, le=MAX_REQUEST_BYTES)] = 4_000_000
    batch_wait_ms: _Milliseconds = 100
    batch_wait_min_ms: _Milliseconds = 20
    latency_goal_ms: _Milliseconds = 150
    append_concurrency: _Count = 4
    append_timeout_s: _Seconds = 60.0
    append_attempts: _Count = 12
    outstanding_messages: _Count = 20_000
    outstanding_bytes: _Count = 100_000_000
    ack_deadline_s: Annotated[int, Field(ge=10, le=600)] = 60
    ack_batch: Annotated[int, Field(ge=1, le=2_500)] = 2_000
    ack_wait_ms: _Milliseconds = 50
    remembered_ids: _Count = 100_000
    notification_window_ms: _Milliseconds = 1_000
    fetch_concurrency: _Count = 32
    fetch_timeout_s: _Seconds = 10.0
    fetch_attempts: _Count = 6
    fetch_max_bytes: _Count = 5_000_000
    fetch_cache_bytes: Annotated[int, Field(ge=0)] = 16_000_000
    fetch_breaker_failures: _Count = 10
    fetch_breaker_open_s: _Seconds = 5.0
    fetch_set_pages: _Count = 100
    fetch_set_rows: _Count = 10_000
    detect_cache_rows: _Count = 100_000
    detect_cache_ttl_s: _Seconds = 3_600.0
    detect_lookback_days: Annotated[int, Field(ge=0, le=36_525)] = 0
    detect_timeout_s: _Seconds = 60.0
    dump_patience_s: _SecondsOrNone = 60.0
    retry_first_wait_s: _Seconds = 0.2
    retry_longest_wait_s: _Seconds = 20.0
    oversize_uri: Annotated[str, Field(pattern=r"^(s3|gs|file)://")] | None = None
    watermark_disorder_s: _SecondsOrNone = 60.0
    watermark_idle_s: _Seconds = 60.0
    watermark_window_s: _Seconds = 60.0
    drain_s: Annotated[float, Field(gt=0, le=9)] = 6.0
    progress_s: _Seconds = 5.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        # A bound that nobody gave follows the other; one that was given and cannot hold is a mistake.
        if "batch_rows_max" in self.model_fields_set and self.batch_rows > self.batch_rows_max:
            raise ValueError(
                f"batch_rows is {self.batch_rows}, more than batch_rows_max, {self.batch_rows_max}; "
                "lower the one or raise the other"
            )
        if "batch_wait_min_ms" in self.model_fields_set and self.batch_wait_min_ms > self.batch_wait_ms:
            raise ValueError(
                f"batch_wait_min_ms is {self.batch_wait_min_ms}, more than batch_wait_ms, {self.batch_wait_ms}; "
                "lower the one or raise the other"
            )
        return self

    def retry_policy(self, attempts: int) -> RetryPolicy:
        """Return the policy of a call that may be tried `attempts` times.

        Args:
            attempts: calls in all, the first included.

        Returns:
            The policy, with the waits of these settings.
        """
        return RetryPolicy(attempts, self.retry_first_wait_s, self.retry_longest_wait_s)


def load_ingest_settings() -> IngestSettings:
    """Read the tunables of this process.

    Returns:
        The tunables, every one checked.

    Raises:
        ConfigurationError: when one is wrong; each fault is named on a line of its own.
    """
    try:
        return IngestSettings()
    except ValidationError as error:
        faults = [
            f"MILLRACE_INGEST_{'.'.join(map(str, fault['loc'])).upper() or '*'}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise ConfigurationError("ingest settings are not valid:\n  " + "\n  ".join(faults)) from error
