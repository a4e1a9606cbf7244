"""The service that keeps schemas by number: Confluent's Schema Registry, and those that speak its API.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html#schemas. A number means one schema for
ever, so an answer is kept. A registry that does not answer is left alone for a while, and nothing that waits for it
is given up: messages are refused only for a number that the registry says it does not know.
"""

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from cachetools import LRUCache, TTLCache

from core.errors import ConfigurationError, DecodeError, MillraceError, UnavailableError
from ingest.decode.avro.schemas import AvroSchema, read_avro_schema
from ingest.decode.avro.settings import AvroSettings

_SCHEMA_NOT_FOUND: Final = 40403
_REFUSED_LOGIN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_UNKNOWN_FOR_S: Final = 30.0
"""How long a number stays unknown: a producer may register it a moment later."""

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_MAX_REFERENCES: Final = 100
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Answer(msgspec.Struct, rename="camel"):
    schema: str
    schema_type: str = "AVRO"
    references: list[_Reference] = []


class _Fault(msgspec.Struct):
    error_code: int = 0


class SchemaRegistry:
    """Finds schemas by their numbers. Safe to share between threads."""

    def __init__(
        self,
        settings: AvroSettings,
        get: Callable[..., httpx.Response] = httpx.get,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to ask; nothing is asked yet.

        Args:
            settings: address, credentials, patience and how many schemas to keep.
            get: makes a request.
            clock: seconds that only ever rise.

        Raises:
            ConfigurationError: when credentials would travel unencrypted, or are of two kinds.
        """
        self._url = settings.schema_registry_url
        self._timeout_s = settings.schema_registry_timeout_s
        self._get = get
        self._clock = clock
        # The certificates of the system are read once, not for every request; without encryption they serve nothing.
        is_encrypted = (self._url or "").startswith("https://")
        self._options = {**_credentials(settings), "verify": httpx.create_ssl_context() if is_encrypted else False}
        self._known: LRUCache[int, AvroSchema] = LRUCache(settings.schema_registry_schemas)
        self._unknown: TTLCache[int, DecodeError] = TTLCache(settings.schema_registry_schemas, _UNKNOWN_FOR_S, clock)
        self._lock = threading.Lock()
        self._pause_s = 0.0
        self._closed_until = float("-inf")

    def schema(self, number: int) -> AvroSchema:
        """Return a schema.

        Args:
            number: its id in the registry.

        Returns:
            The schema.

        Raises:
            DecodeError: `unknown_schema`, or `unsupported_schema` and `invalid_schema` for what is no Avro.
            UnavailableError: when the registry does not answer, or did not a moment ago.
            ConfigurationError: when there is no address, or the registry refuses the credentials.
        """
        with self._lock:
            if (schema := self._known.get(number)) is not None:
                return schema
            if (refusal := self._unknown.get(number)) is not None:
                raise DecodeError(refusal.reason, str(refusal))
            try:
                schema = self._known[number] = self._fetch(number)
            except DecodeError as error:
                self._unknown[number] = error
                raise
            return schema

    def _fetch(self, number: int) -> AvroSchema:
        answer = self._ask(f"schemas/ids/{number}")
        if answer.schema_type != "AVRO":
            raise DecodeError(
                "unsupported_schema", f"schema {number} is {answer.schema_type}; the topic must be written in Avro"
            )
        named: dict[str, Any] = {}
        self._gather(answer.references, named)
        return read_avro_schema(answer.schema, named)

    def _gather(self, references: list[_Reference], named: dict[str, Any]) -> None:
        """Add the schemas that one refers to, each after those that it refers to itself."""
        for reference in references:
            if reference.name in named:
                continue
            if len(named) >= _MAX_REFERENCES:
                raise DecodeError("invalid_schema", f"a schema refers to more than {_MAX_REFERENCES} others")
            answer = self._ask(f"subjects/{quote(reference.subject, safe='')}/versions/{reference.version}")
            self._gather(answer.references, named)
            try:
                named[reference.name] = msgspec.json.decode(answer.schema)
            except (msgspec.DecodeError, RecursionError) as error:
                raise DecodeError("invalid_schema", "a schema that another refers to is no JSON") from error

    def _ask(self, path: str) -> _Answer:
        if self._url is None:
            raise ConfigurationError(
                "messages name their schema by a number of a registry: set MILLRACE_INGEST_SCHEMA_REGISTRY_URL"
            )
        now = self._clock()
        if now < self._closed_until:
            raise UnavailableError("the schema registry did not answer a moment ago", self._closed_until - now)
        try:
            response = self._get(
                f"{self._url.rstrip('/')}/{path}",
                timeout=self._timeout_s,
                follow_redirects=False,
                **self._options,
            )
        except httpx.HTTPError as error:
            raise self._pause(f"the schema registry does not answer: {type(error).__name__}") from error
        fault = self._fault(response, path)
        if fault is not None:
            raise fault
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
            raise self._pause("what answers at MILLRACE_INGEST_SCHEMA_REGISTRY_URL is no schema registry") from error
        self._pause_s = 0.0
        return answer

    def _fault(self, response: httpx.Response, path: str) -> MillraceError | None:
        status = response.status_code
        if status == HTTPStatus.OK:
            return None
        if status in _REFUSED_LOGIN:
            return ConfigurationError(
                f"the schema registry refuses the credentials ({status}); see MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN, "
                "or _USER and _PASSWORD"
            )
        if status == HTTPStatus.NOT_FOUND and _error_code(response.content) == _SCHEMA_NOT_FOUND:
            return DecodeError("unknown_schema", f"the schema registry knows no {path}")
        return self._pause(f"the schema registry answers {status}", response.headers.get("Retry-After"))

    def _pause(self, words: str, retry_after: str | None = None) -> UnavailableError:
        """Leave the registry alone, for twice as long as the last time."""
        self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
        if retry_after is not None and retry_after.isdecimal():
            self._pause_s = min(float(retry_after), _LONGEST_PAUSE_S)
        self._closed_until = self._clock() + self._pause_s
        return UnavailableError(words, self._pause_s)


def _credentials(settings: AvroSettings) -> Mapping[str, Any]:
    """Return the request's options that say who asks."""
    headers = {"Accept": _CONTENT_TYPE}
    user, password = settings.schema_registry_user, settings.schema_registry_password
    token = settings.schema_registry_token
    if token is None and user is None:
        return {"headers": headers}
    address = urlsplit(settings.schema_registry_url or "")
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise ConfigurationError("MILLRACE_INGEST_SCHEMA_REGISTRY_URL must be https when there are credentials to send")
    if token is not None and user is not None:
        raise ConfigurationError("set MILLRACE_INGEST_SCHEMA_REGISTRY_TOKEN or _USER, not both")
    if token is not None:
        return {"headers": {**headers, "Authorization": f"Bearer {token.get_secret_value()}"}}
    return {"headers": headers, "auth": (user, password.get_secret_value() if password else "")}


def _error_code(content: bytes) -> int:
    try:
        return msgspec.json.decode(content, type=_Fault).error_code
    except (UnicodeDecodeError, msgspec.MsgspecError):
        return 0
