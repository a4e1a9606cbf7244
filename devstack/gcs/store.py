"""Buckets in memory: one live version of each object, and whom to tell of changes."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

Publish = Callable[[str, Mapping[str, str], bytes], None]
"""Publishes attributes and body to a topic, `projects/<project>/topics/<topic>`."""


@dataclass(frozen=True)
class StoredObject:
    """A version of an object.

    Attributes:
        bucket: its bucket.
        name: its name.
        generation: its version.
        data: its content.
        content_type: its media type.
        updated: when it was written (UTC).
    """

    bucket: str
    name: str
    generation: int
    data: bytes
    content_type: str
    updated: datetime

    def resource(self) -> dict[str, Any]:
        """Return its description: https://cloud.google.com/storage/docs/json_api/v1/objects#resource."""
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "bucket": self.bucket,
            "name": self.name,
            "generation": str(self.generation),
            "metageneration": "1",
            "size": str(len(self.data)),
            "contentType": self.content_type,
            "updated": f"{self.updated:%Y-%m-%dT%H:%M:%S.%fZ}",
            "timeCreated": f"{self.updated:%Y-%m-%dT%H:%M:%S.%fZ}",
            # The format asks for MD5; nothing depends on its strength.
            "md5Hash": base64.b64encode(hashlib.md5(self.data, usedforsecurity=False).digest()).decode(),
            "etag": base64.b64encode(str(self.generation).encode()).decode(),
        }


@dataclass(frozen=True)
class NotificationConfig:
    """Whom to tell of what: https://cloud.google.com/storage/docs/json_api/v1/notifications.

    Attributes:
        id: its number in the bucket.
        topic: `projects/<project>/topics/<topic>`.
        event_types: events to tell of; empty for all.
        prefix: beginning of the names to tell of.
        payload_format: `JSON_API_V1` for the object's description as body, `NONE` for none.
    """

    id: str
    topic: str
    event_types: tuple[str, ...]
    prefix: str
    payload_format: str


@dataclass
class Bucket:
    """A bucket.

    Attributes:
        objects: its objects by name.
        notifications: whom to tell.
    """

    objects: dict[str, StoredObject] = field(default_factory=dict)
    notifications: list[NotificationConfig] = field(default_factory=list)


class Buckets:
    """All buckets; safe to use from several threads."""

    def __init__(self, publish: Publish) -> None:
        """Begin without any.

        Args:
            publish: sends a notification.
        """
        self._publish = publish
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()
        self._generations = count(int(datetime.now(UTC).timestamp() * 1_000_000))

    def create(self, name: str) -> None:
        """Create a bucket, or leave the one of that name as it is."""
        with self._lock:
            self._buckets.setdefault(name, Bucket())

    def get(self, name: str) -> Bucket | None:
        """Return a bucket; None when it is not there."""
        return self._buckets.get(name)

    def put(self, bucket: str, name: str, data: bytes, content_type: str) -> StoredObject:
        """Write an object, whole, as a new generation.

        Raises:
            KeyError: when the bucket is not there.
        """
        with self._lock:
            objects = self._buckets[bucket].objects
            before = objects.get(name)
            stored = StoredObject(bucket, name, next(self._generations), data, content_type, datetime.now(UTC))
            objects[name] = stored
        if before is not None:
            self._tell("OBJECT_DELETE", before, {"overwrittenByGeneration": str(stored.generation)})
        overwrote = {"overwroteGeneration": str(before.generation)} if before else {}
        self._tell("OBJECT_FINALIZE", stored, overwrote)
        return stored

    def delete(self, bucket: str, name: str) -> bool:
        """Delete an object; return whether it was there."""
        with self._lock:
            stored = self._buckets[bucket].objects.pop(name, None)
        if stored is not None:
            self._tell("OBJECT_DELETE", stored, {})
        return stored is not None

    def notify(self, bucket: str, wanted: Mapping[str, Any]) -> NotificationConfig:
        """Begin to tell a topic of a bucket's changes."""
        configs = self._buckets[bucket].notifications
        config = NotificationConfig(
            id=str(len(configs) + 1),
            topic=str(wanted["topic"]).removeprefix("//pubsub.googleapis.com/"),
            event_types=tuple(wanted.get("event_types") or ()),
            prefix=str(wanted.get("object_name_prefix") or ""),
            payload_format=str(wanted["payload_format"]),
        )
        configs.append(config)
        return config

    def _tell(self, event: str, stored: StoredObject, more: Mapping[str, str]) -> None:
        for config in self._buckets[stored.bucket].notifications:
            if (config.event_types and event not in config.event_types) or not stored.name.startswith(config.prefix):
                continue
            attributes = {
                "notificationConfig": f"projects/_/buckets/{stored.bucket}/notificationConfigs/{config.id}",
                "eventType": event,
                "payloadFormat": config.payload_format,
                "bucketId": stored.bucket,
                "objectId": stored.name,
                "objectGeneration": str(stored.generation),
                "eventTime": f"{stored.updated:%Y-%m-%dT%H:%M:%S.%fZ}",
                **more,
            }
            self._publish(config.topic, attributes, _body(config, stored))


def _body(config: NotificationConfig, stored: StoredObject) -> bytes:
    return json.dumps(stored.resource(), indent=2).encode() if config.payload_format == "JSON_API_V1" else b""
