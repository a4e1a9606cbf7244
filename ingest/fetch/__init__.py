"""Fetching the present state of a row, or of a set of rows, from the API that a notification points to."""

from ingest.fetch.breaker import CircuitBreaker
from ingest.fetch.client import api_client
from ingest.fetch.entity import Entity, EntitySet
from ingest.fetch.errors import CircuitOpenError, EntityError, FetchError, ServiceDownError, ThrottledError, described
from ingest.fetch.fetcher import Fetcher
from ingest.fetch.gate import retry_after_s
from ingest.fetch.paths import entity_path

__all__ = [
    "CircuitBreaker",
    "CircuitOpenError",
    "Entity",
    "EntityError",
    "EntitySet",
    "FetchError",
    "Fetcher",
    "ServiceDownError",
    "ThrottledError",
    "api_client",
    "described",
    "entity_path",
    "retry_after_s",
]
