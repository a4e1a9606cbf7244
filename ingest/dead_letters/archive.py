"""Reading dead letters back: grouped, counted, and one after the other with their bodies."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from google.cloud import bigquery

from core.clients import bigquery_client
from core.errors import UnreadableError
from core.identifiers import qualified
from core.objects import read_content
from core.settings import Settings
from ingest import bigquery_errors
from ingest.bigquery_errors import told
from ingest.dead_letters.filters import Filters
from ingest.dead_letters.origin import OBJECT_ID, ROW_ID
from ingest.dead_letters.tables import DEAD_LETTER_REPLAYS, DEAD_LETTERS

_PAGE_BYTES: Final = 32_000_000
_PAGE_ROWS: Final = 1_000
_TIMEOUT_S: Final = 300.0
_FORMER_CUT: Final = 7_800_000  # where bodies were cut before their length was written down


class Letter(msgspec.Struct, frozen=True):
    """A dead letter as it was kept.

    Attributes:
        event_id: message id.
        reason: code of the reason.
        error: the error in words.
        attempts: deliveries, or requests to the API.
        topic: short name of the topic it was published to.
        table: the raw table it was meant for, when that is known.
        ordering_key: its ordering key; empty when it had none.
        data: its body, as far as the table holds it.
        attributes: its attributes.
        publish_ts: when it was published (UTC).
        dead_lettered_at: when it was given up (UTC).
        load_id: the run that gave it up.
        data_bytes: length of the body as published; None when that was not written down.
        data_uri: the object that holds the body; None when `data` does.
        replayed_at: when it was last published again (UTC); None when it never was.
    """

    event_id: str
    reason: str
    error: str | None
    attempts: int | None
    topic: str
    table: str | None
    ordering_key: str
    data: bytes
    attributes: Mapping[str, str]
    publish_ts: datetime | None
    dead_lettered_at: datetime
    load_id: str | None
    data_bytes: int | None
    data_uri: str | None
    replayed_at: datetime | None

    @property
    def is_cut(self) -> bool:
        """Whether part of the body is nowhere to be read; the dead-letter topic may still have it."""
        if self.data_uri is not None:
            return False
        return len(self.data) >= _FORMER_CUT if self.data_bytes is None else len(self.data) < self.data_bytes


class Group(msgspec.Struct, frozen=True):
    """Dead letters of one reason and table.

    Attributes:
        reason: code of the reason.
        table: the raw table; None when it is not known.
        topic: short name of the topic.
        letters: how many.
        replayed: how many of them were published again.
        first_at: when the first was given up (UTC).
        latest_at: when the latest was given up (UTC).
        example_event_id: message id of the latest.
        example_error: its error in words.
    """

    reason: str
    table: str | None
    topic: str
    letters: int
    replayed: int
    first_at: datetime
    latest_at: datetime
    example_event_id: str
    example_error: str | None


class Totals(msgspec.Struct, frozen=True):
    """What a reading will bring.

    Attributes:
        letters: how many.
        data_bytes: bytes of their bodies within the table.
        largest_bytes: bytes of the largest of these.
    """

    letters: int
    data_bytes: int
    largest_bytes: int


class Origins(msgspec.Struct, frozen=True):
    """How letters came, as far as it matters to files.

    Attributes:
        rows: those that are rows of files.
        objects: those that are about whole files, or about the markers of full dumps.
        others: all others.
    """

    rows: int
    objects: int
    others: int


class Archive:
    """The dead letters that BigQuery holds; each counts once, however often it was given up."""

    def __init__(self, settings: Settings, client: bigquery.Client) -> None:
        """Prepare to read.

        Args:
            settings: the project and the audit dataset.
            client: where to read; its calls block.
        """
        self._settings = settings
        self._client = client

    def groups(self, filters: Filters) -> list[Group]:
        """Return dead letters by reason, table and topic, the largest group first.

        Args:
            filters: which letters are meant; the limit is one of groups.

        Returns:
            The groups.

        Raises:
            ConfigurationError: when the tables are not there, or may not be read.
            UnavailableError: when BigQuery does not answer.
        """
        return [Group(**dict(row)) for row in self._rows(_GROUPS, filters, _PAGE_ROWS)]

    def totals(self, filters: Filters) -> Totals:
        """Return what `letters` would bring.

        Args:
            filters: which letters are meant.

        Returns:
            Counts and sizes.

        Raises:
            ConfigurationError: see `groups`.
            UnavailableError: see `groups`.
        """
        [row] = self._rows(_TOTALS, filters, 1)
        return Totals(row["letters"], row["data_bytes"], row["largest_bytes"])

    def origins(self, filters: Filters) -> Origins:
        """Return how letters came.

        Args:
            filters: which letters are meant.

        Returns:
            Counts.

        Raises:
            ConfigurationError: see `groups`.
            UnavailableError: see `groups`.
        """
        [row] = self._rows(_ORIGINS, filters, 1)
        return Origins(row["row_letters"], row["object_letters"], row["other_letters"])

    def letters(self, filters: Filters, largest_bytes: int) -> Iterator[list[Letter]]:
        """Yield dead letters in the order in which they were published, a page at a time.

        Args:
            filters: which letters are meant.
            largest_bytes: the largest body, from `totals`; it bounds the rows of a page and so the memory.

        Yields:
            Pages, none empty.

        Raises:
            ConfigurationError: see `groups`.
            UnavailableError: see `groups`.
        """
        size = max(1, min(_PAGE_ROWS, _PAGE_BYTES // max(1, largest_bytes)))
        page: list[Letter] = []
        for row in self._rows(_LETTERS, filters, size):
            page.append(_letter(row))
            if len(page) == size:
                yield page
                page = []
        if page:
            yield page

    def body(self, letter: Letter) -> bytes:
        """Return a letter's body, from wherever it lies.

        Args:
            letter: which one.

        Returns:
            The bytes as they were published.

        Raises:
            UnreadableError: when part of it was cut, or its object is gone or changed.
            UnavailableError: when the object store does not answer.
            ConfigurationError: when the object store refuses the caller.
        """
        if letter.is_cut:
            raise UnreadableError(
                f"dead letter {letter.event_id}: its body was cut, for MILLRACE_INGEST_OVERSIZE_URI was not set; "
                f"take it from the dead-letter topic (subscription {self._settings.dead_letter_topic}-keep)"
            )
        return letter.data if letter.data_uri is None else read_content(letter.data_uri, self._settings)

    def _rows(self, statement: str, filters: Filters, page_rows: int) -> Iterator[Any]:
        project, dataset = self._settings.project, self._settings.audit_dataset
        common = _COMMON.format(
            dead_letters=qualified(project, dataset, DEAD_LETTERS.name),
            dead_letter_replays=qualified(project, dataset, DEAD_LETTER_REPLAYS.name),
            condition=filters.condition(),
            replayed="replays.event_id is null" if filters.unreplayed else "true",
        )
        config = bigquery.QueryJobConfig(query_parameters=filters.parameters())
        # The reader may take its time with a page, so only BigQuery's own faults are translated.
        with told("reading the dead letters"):
            job = self._client.query(common + statement, job_config=config, **bigquery_errors.patience())
            pages = iter(job.result(page_size=page_rows, timeout=_TIMEOUT_S, **bigquery_errors.patience()).pages)
        while True:
            with told("reading the dead letters"):
                page = next(pages, None)
            if page is None:
                return
            yield from page


_COMMON: Final = """
with

replays as (

    select
        topic,
        event_id,
        max(replayed_at) as replayed_at
    from {dead_letter_replays}
    group by topic, event_id

),

given_up as (

    select *
    from {dead_letters}
    where {condition}
    qualify row_number() over (partition by topic, event_id order by dead_lettered_at) = 1

),

letters as (

    select
        given_up.*,
        replays.replayed_at
    from given_up
    left join replays on given_up.topic = replays.topic and given_up.event_id = replays.event_id
    where {replayed}

)
"""

_GROUPS: Final = """
select
    reason,
    table_name as `table`,
    topic,
    count(*) as letters,
    countif(replayed_at is not null) as replayed,
    min(dead_lettered_at) as first_at,
    max(dead_lettered_at) as latest_at,
    any_value(event_id having max dead_lettered_at) as example_event_id,
    any_value(error having max dead_lettered_at) as example_error
from letters
group by reason, table_name, topic
order by letters desc, reason, table_name, topic
limit @row_limit
"""

_TOTALS: Final = """
select
    count(*) as letters,
    ifnull(sum(size), 0) as data_bytes,
    ifnull(max(size), 0) as largest_bytes
from (
    select ifnull(length(data), 0) as size
    from letters
    order by publish_ts, topic, event_id
    limit @row_limit
)
"""

_ORIGINS: Final = f"""
select
    countif(regexp_contains(event_id, r'{ROW_ID}')) as row_letters,
    countif(regexp_contains(event_id, r'{OBJECT_ID}')) as object_letters,
    countif(not regexp_contains(event_id, r'{ROW_ID}') and not regexp_contains(event_id, r'{OBJECT_ID}'))
        as other_letters
from (
    select event_id
    from letters
    order by publish_ts, topic, event_id
    limit @row_limit
)
"""  # noqa: S608 - the patterns are constants of ours

_LETTERS: Final = """
select
    event_id,
    reason,
    error,
    attempts,
    topic,
    table_name as `table`,
    ordering_key,
    data,
    attributes,
    publish_ts,
    dead_lettered_at,
    load_id,
    data_bytes,
    data_uri,
    replayed_at
from letters
order by publish_ts, topic, event_id
limit @row_limit
"""


def open_archive(settings: Settings) -> Archive:
    """Return the archive of dead letters.

    Args:
        settings: where BigQuery is.

    Returns:
        The archive.
    """
    return Archive(settings, bigquery_client(settings))


def _letter(row: Any) -> Letter:
    values = dict(row)
    attributes = msgspec.json.decode(values.pop("attributes") or "{}", type=dict[str, str])
    return Letter(
        **values | {"ordering_key": row["ordering_key"] or "", "data": row["data"] or b"", "attributes": attributes}
    )
