"""Checks of everything the ingester needs, each with the fix when it is red."""

from collections.abc import Callable, Iterator
from typing import Final

import httpx
import msgspec
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from core.clients import bigquery_client, bigquery_write_client, publisher_client, subscriber_client
from core.contracts import Contracts
from core.errors import MillraceError
from core.raw_row import RAW_COLUMNS
from core.settings import Settings
from ingest.keys import key_encoder
from ingest.resources import DEAD_LETTERS_TABLE, subscription_path, table_path, topic_path

_TIMEOUT_S: Final = 5.0
_TERRAFORM: Final = "run `ingest setup` (local, dev) or `terraform apply`"


class Check(msgspec.Struct, frozen=True):
    """The result of one check.

    Attributes:
        name: what was checked.
        ok: whether it is as it should be.
        detail: what was found.
        fix: what to do when it is not ok; empty otherwise.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(settings: Settings, contracts: Contracts) -> Iterator[Check]:
    """Check keys, Pub/Sub, BigQuery and the API, one after the other.

    Args:
        settings: where to look.
        contracts: the tables.

    Yields:
        A result per check, as soon as it is known.
    """
    yield _checked("keys", lambda: _keys(contracts), "give the key columns a type that has a canonical text")
    yield _checked("Pub/Sub subscriptions", lambda: _subscriptions(settings, contracts), _TERRAFORM)
    yield _checked("dead-letter topic", lambda: _dead_letter_topic(settings), _TERRAFORM)
    yield _checked("BigQuery tables", lambda: _tables(settings, contracts), _TERRAFORM)
    yield _checked("BigQuery Storage Write", lambda: _write_streams(settings), "grant roles/bigquery.dataEditor")
    if contracts.notification_topics():
        yield _checked("API", lambda: _api(settings), "set MILLRACE_API_BASE_URL and MILLRACE_API_TOKEN")


def _checked(name: str, look: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, ok=True, detail=look())
    except (MillraceError, GoogleAPIError, GoogleAuthError, httpx.HTTPError, OSError) as error:
        return Check(name, ok=False, detail=f"{type(error).__name__}: {error}".splitlines()[0], fix=fix)


def _keys(contracts: Contracts) -> str:
    for contract in contracts.values():
        key_encoder(contract)
    return f"{len(contracts)} tables"


def _subscriptions(settings: Settings, contracts: Contracts) -> str:
    topics = [*contracts.by_topic(), *contracts.notification_topics()]
    with subscriber_client(settings) as client:
        for topic in topics:
            client.get_subscription(
                request={"subscription": subscription_path(settings, topic)}, timeout=_TIMEOUT_S, retry=None
            )
    return f"{len(topics)} subscriptions"


def _dead_letter_topic(settings: Settings) -> str:
    client = publisher_client(settings)
    try:
        client.get_topic(
            request={"topic": topic_path(settings, settings.dead_letter_topic)}, timeout=_TIMEOUT_S, retry=None
        )
    finally:
        client.stop()
    return settings.dead_letter_topic


def _tables(settings: Settings, contracts: Contracts) -> str:
    client = bigquery_client(settings)
    wanted = {column.name for column in RAW_COLUMNS}
    try:
        for contract in contracts.values():
            name = f"{settings.project}.{contract.dataset}.{contract.name}"
            table = client.get_table(name, timeout=_TIMEOUT_S, retry=None)
            missing = sorted(wanted - {field.name for field in table.schema})
            if missing:
                raise MillraceError(f"{name} lacks {', '.join(missing)}")
        client.get_table(
            f"{settings.project}.{settings.audit_dataset}.{DEAD_LETTERS_TABLE}", timeout=_TIMEOUT_S, retry=None
        )
    finally:
        client.close()
    return f"{len(contracts) + 1} tables"


def _write_streams(settings: Settings) -> str:
    client = bigquery_write_client(settings)
    stream = f"{table_path(settings, settings.audit_dataset, DEAD_LETTERS_TABLE)}/streams/_default"
    try:
        client.get_write_stream(request={"name": stream}, timeout=_TIMEOUT_S, retry=None)
    finally:
        client.transport.close()
    return "the default stream answers"


def _api(settings: Settings) -> str:
    if settings.api_base_url is None:
        raise MillraceError("MILLRACE_API_BASE_URL is not set, so notifications stay in their subscription")
    # Any answer tells that it is there; which rows it has is none of this check's business.
    status = httpx.get(settings.api_base_url, timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False).status_code
    return f"answers ({status})"


def line(check: Check) -> str:
    """Render a check for people.

    Args:
        check: the result.

    Returns:
        One line, with the fix when it is red.
    """
    told = f"{'ok ' if check.ok else 'RED'}  {check.name}: {check.detail}"
    return f"{told} -> {check.fix}" if check.fix else told
