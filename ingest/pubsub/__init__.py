"""Pub/Sub as a transport: `transport` pulls, `acks` acknowledges, `received` reads what a response brings."""

from ingest.pubsub.transport import PubSubTransport

__all__ = ["PubSubTransport"]
