"""Checks of everything the ingester needs, each with the fix when it is red."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import httpx
import msgspec
from google.api_core.exceptions import Forbidden, GoogleAPIError, PermissionDenied, Unauthenticated, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from core.clients import (
    bigquery_client,
    bigquery_write_client,
    google_credentials,
    publisher_client,
    subscriber_client,
)
from core.contracts import Contracts
from core.errors import ConfigurationError, CredentialsError, DecodeError, MillraceError
from core.raw_row import RAW_COLUMNS
from core.settings import Settings
from core.stand_ins import BIGQUERY, BIGQUERY_STORAGE, FIX, PUBSUB, check_stand_ins
from ingest.audit_tables import AuditTable
from ingest.decode.avro.registry import SchemaRegistry
from ingest.decode.avro.settings import load_avro_settings
from ingest.fetch import api_client, described
from ingest.keys import key_encoder
from ingest.oversize import oversize_store
from ingest.push.certificates import Certificates, certificates_client
from ingest.push.settings import PushSettings, load_push_settings
from ingest.reachable import looks
from ingest.resources import DEAD_LETTERS_TABLE, subscription_path, table_path, topic_path
from ingest.settings import IngestSettings
from ingest.setup import AUDIT_TABLES

_TIMEOUT_S: Final = 5.0
_ANY_SCHEMA: Final = 2**31 - 1
"""The greatest id that a schema registry can give; none has come that far."""

_TERRAFORM: Final = "run `ingest setup` (local, dev) or `terraform apply`"
_API_FIX: Final = "set MILLRACE_API_BASE_URL and MILLRACE_API_TOKEN"
_LOGIN: Final = (
    "run `gcloud auth application-default login`, or, to use the local stack, `devstack up` and "
    '`eval "$(devstack env)"`'
)


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


def examine(settings: Settings, contracts: Contracts, tunables: IngestSettings) -> Iterator[Check]:
    """Check keys, credentials, what messages come from, Pub/Sub, BigQuery and the API, one after the other.

    Args:
        settings: where to look.
        contracts: the tables.
        tunables: which transport and which places are in use.

    Yields:
        A result per check, as soon as it is known; what needs credentials that are not there is not looked at.
    """
    yield _checked("keys", lambda: _keys(contracts), "give the key columns a type that has a canonical text")
    credentials = _credentials(settings)
    if credentials is not None:
        yield credentials
    can_look = credentials is None or credentials.ok
    if can_look or settings.pubsub_emulator_host is not None:
        yield from _pubsub(settings, contracts, tunables)
    if can_look or settings.bigquery_emulator_host is not None:
        yield from _bigquery(settings, contracts)
    for look in looks(tunables.transport, settings, contracts):
        yield _checked(look.name, look.look, look.fix)
    if tunables.transport == "push":
        yield _checked("push endpoint", _push, "check MILLRACE_INGEST_PUSH_* and that the certificates can be fetched")
    if any(contract.encoding == "avro" for contract in contracts.values()):
        yield _checked(
            "schema registry", _registry, "check MILLRACE_INGEST_SCHEMA_REGISTRY_*, or name schemas in files"
        )
    if tunables.oversize_uri is not None:
        yield _checked(
            "place of large rows",
            lambda: _oversize(settings, tunables),
            "make the place that MILLRACE_INGEST_OVERSIZE_URI names, and let the ingester write there",
        )
    if contracts.notification_topics():
        yield _checked("API", lambda: _api(settings, tunables), _API_FIX)


def _credentials(settings: Settings) -> Check | None:
    """Look for credentials, once for everything that needs them; None when only stand-ins are in use."""
    stand_ins = (
        settings.pubsub_emulator_host, settings.bigquery_emulator_host, settings.bigquery_storage_emulator_host
    )  # fmt: skip
    if all(stand_ins):
        return None
    try:
        google_credentials()
    except CredentialsError:
        return Check("credentials", ok=False, detail="there are no Google Cloud credentials", fix=_LOGIN)
    return Check("credentials", ok=True, detail="application default credentials")


def _pubsub(settings: Settings, contracts: Contracts, tunables: IngestSettings) -> Iterator[Check]:
    def look(name: str, at: Callable[[], str]) -> Check:
        return _checked(name, lambda: _reached(settings, (PUBSUB,), at), _TERRAFORM)

    if tunables.transport in ("pubsub", "push"):
        yield look("Pub/Sub subscriptions", lambda: _subscriptions(settings, contracts))
    yield look("dead-letter topic", lambda: _dead_letter_topic(settings))


def _bigquery(settings: Settings, contracts: Contracts) -> Iterator[Check]:
    def tables() -> str:
        return _reached(settings, (BIGQUERY,), lambda: _tables(settings, contracts))

    def write_streams() -> str:
        return _reached(settings, (BIGQUERY_STORAGE,), lambda: _write_streams(settings))

    yield _checked("BigQuery tables", tables, _TERRAFORM)
    yield _checked("BigQuery Storage Write", write_streams, "grant roles/bigquery.dataEditor")


def _reached(settings: Settings, needed: tuple[str, ...], look: Callable[[], str]) -> str:
    """Look, unless the stand-in that would be looked at is not there: a client would wait for it."""
    check_stand_ins(settings, needed)
    return look()


def _checked(name: str, look: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, ok=True, detail=look())
    except (MillraceError, GoogleAPIError, GoogleAuthError, httpx.HTTPError, OSError) as error:
        return Check(name, ok=False, detail=_words(error).splitlines()[0], fix=_fix(error, fix))


def _words(error: Exception) -> str:
    return described(error) if isinstance(error, httpx.HTTPError) else f"{type(error).__name__}: {error}"


def _fix(error: Exception, usual: str) -> str:
    """Return what mends a fault: it is the service's words that tell, where they do."""
    if isinstance(error, PermissionDenied | Forbidden):
        return "grant the account the roles of terraform/modules/identity (`terraform apply`)"
    if isinstance(error, Unauthenticated | Unauthorized | GoogleAuthError):
        return _LOGIN
    if FIX in str(error):
        return FIX
    return usual


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
        for audit_table in AUDIT_TABLES:
            _check_audit_table(audit_table, client, settings)
    finally:
        client.close()
    return f"{len(contracts) + len(AUDIT_TABLES)} tables"


def _check_audit_table(audit_table: AuditTable, client: bigquery.Client, settings: Settings) -> None:
    name = f"{settings.project}.{settings.audit_dataset}.{audit_table.name}"
    table = client.get_table(name, timeout=_TIMEOUT_S, retry=None)
    missing = sorted({column.name for column in audit_table.columns} - {field.name for field in table.schema})
    if missing:
        raise MillraceError(f"{name} lacks {', '.join(missing)}")


def _write_streams(settings: Settings) -> str:
    client = bigquery_write_client(settings)
    stream = f"{table_path(settings, settings.audit_dataset, DEAD_LETTERS_TABLE)}/streams/_default"
    try:
        client.get_write_stream(request={"name": stream}, timeout=_TIMEOUT_S, retry=None)
    finally:
        client.transport.close()
    return "the default stream answers"


def _push() -> str:
    push = load_push_settings()
    found = asyncio.run(_certificates(push))
    return f"{push.service_account} may push to audience {push.audience}; {len(found)} certificates"


async def _certificates(push: PushSettings) -> Mapping[str, str]:
    async with certificates_client() as client:
        return await Certificates(push.certificates_url, client).for_key(None)


def _registry() -> str:
    avro = load_avro_settings()
    if avro.schema_registry_url is None:
        return "none: schemas come from files"
    # It is asked as a run asks it, credentials and all; that it knows no such schema is an answer.
    with suppress(DecodeError):
        SchemaRegistry(avro).schema(_ANY_SCHEMA)
    return f"{avro.schema_registry_url} answers"


def _oversize(settings: Settings, tunables: IngestSettings) -> str:
    store = oversize_store(settings, tunables)
    if store is None:
        raise MillraceError("MILLRACE_INGEST_OVERSIZE_URI is not set")
    return f"{store.put('doctor/check', b'ok')} can be written"


def _api(settings: Settings, tunables: IngestSettings) -> str:
    if settings.api_base_url is None:
        raise MillraceError("MILLRACE_API_BASE_URL is not set, so notifications stay in their subscription")
    status = asyncio.run(_api_status(settings, tunables))
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        # A run stops on either.
        raise ConfigurationError(f"the API refuses the token ({status})")
    # Any other answer tells that it is there; which rows it has is none of this check's business.
    return f"answers ({status})"


async def _api_status(settings: Settings, tunables: IngestSettings) -> int:
    """Ask as a run asks, under the same guard of where the token may go; whatever the body is, it is not read."""
    async with api_client(settings, tunables) as client, client.stream("GET", "/") as response:
        return response.status_code


def line(check: Check) -> str:
    """Render a check for people.

    Args:
        check: the result.

    Returns:
        One line, with the fix when it is red.
    """
    told = f"{'ok ' if check.ok else 'RED'}  {check.name}: {check.detail}"
    return f"{told} -> {check.fix}" if check.fix else told
