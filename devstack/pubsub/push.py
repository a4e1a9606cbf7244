"""Push subscriptions: each message is posted to the endpoint, and the answer decides what becomes of it.

The requests are those of https://cloud.google.com/pubsub/docs/push, wrapped or unwrapped, with a signed token when the
subscription asks for one. Of an ordering key one message is under way at a time.
"""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import httpx

from devstack.pubsub import wire
from devstack.pubsub.errors import PubSubError
from devstack.pubsub.model import SECOND, Consumer, Entry
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.tokens import Issuer
from devstack.pubsub.wire import Proto

_TAKEN: Final = frozenset({102, 200, 201, 202, 204})
_AT_ONCE: Final = 100
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 60.0


class Pushes:
    """Pushes for every subscription that has an endpoint."""

    def __init__(self, runtime: Runtime, issuer: Issuer) -> None:
        """Starts with none.

        Args:
            runtime: the server's state.
            issuer: signs tokens.
        """
        self._runtime = runtime
        self._issuer = issuer
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def refresh(self) -> None:
        """Starts and stops pushing, so that it is as the subscriptions say; call it after they were changed."""
        wanted = {
            name
            for name, attached in self._runtime.broker.subscriptions.items()
            if attached.resource.push_config.push_endpoint and not attached.resource.detached
        }
        for name in self._tasks.keys() - wanted:
            self._tasks.pop(name).cancel()
        for name in wanted - self._tasks.keys():
            self._tasks[name] = asyncio.create_task(self._push_while_attached(name))

    async def close(self) -> None:
        """Stops pushing."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _push_while_attached(self, name: str) -> None:
        # A subscription that is gone, or was cut off its topic, is no fault of whoever pushes for it.
        with suppress(PubSubError):
            await self._push_forever(name)

    async def _push_forever(self, name: str) -> None:
        consumer, failures = Consumer(max_messages=_AT_ONCE), count()
        runtime = self._runtime
        limits = httpx.Limits(max_connections=_AT_ONCE)
        async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
            with runtime.waiter(name) as changed:
                while True:
                    changed.clear()
                    entries = runtime.broker.take(name, consumer, runtime.now(), limit=_AT_ONCE)
                    runtime.arm()
                    if not entries:
                        await changed.wait()
                    elif await self._push(client, name, entries):
                        failures = count()
                    else:
                        await asyncio.sleep(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** next(failures)))

    async def _push(self, client: httpx.AsyncClient, name: str, entries: Sequence[Entry]) -> bool:
        """Posts messages, those of a key one after the other; returns whether all were taken."""
        lanes: defaultdict[object, list[Entry]] = defaultdict(list)
        for entry in entries:
            lanes[entry.message.ordering_key or id(entry)].append(entry)
        return all(await asyncio.gather(*(self._push_lane(client, name, lane) for lane in lanes.values())))

    async def _push_lane(self, client: httpx.AsyncClient, name: str, lane: Sequence[Entry]) -> bool:
        broker = self._runtime.broker
        for place, entry in enumerate(lane):
            if not await self._post(client, name, entry):
                left = [one.ack_id for one in lane[place:]]
                broker.modify_deadline(name, left, 0, self._runtime.now())
                self._runtime.arm()
                return False
            broker.acknowledge(name, [entry.ack_id], self._runtime.now())
        return True

    async def _post(self, client: httpx.AsyncClient, name: str, entry: Entry) -> bool:
        resource = self._runtime.broker.subscription(name).resource
        config = resource.push_config
        message = wire.PubsubMessage.FromString(entry.message.encoded)
        attempt = entry.failures + 1 if resource.HasField("dead_letter_policy") else 0
        headers, body = _request(name, message, attempt, config)
        if config.HasField("oidc_token"):
            token = config.oidc_token
            audience = token.audience or config.push_endpoint
            headers["authorization"] = f"Bearer {self._issuer.token(token.service_account_email, audience)}"
        try:
            answer = await client.post(
                config.push_endpoint, content=body, headers=headers, timeout=resource.ack_deadline_seconds
            )
        except httpx.HTTPError:
            return False
        return answer.status_code in _TAKEN


def _request(name: str, message: Proto, attempt: int, config: Proto) -> tuple[dict[str, str], bytes]:
    published = datetime.fromtimestamp(wire.nanoseconds(message.publish_time) / SECOND, UTC)
    text = published.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if not config.HasField("no_wrapper"):
        return {"content-type": "application/json"}, json.dumps(_wrapped(name, message, attempt, text)).encode()
    headers = {"content-type": "application/octet-stream"}
    if config.no_wrapper.write_metadata:
        metadata = {"subscription-name": name, "message-id": message.message_id, "publish-time": text}
        if message.ordering_key:
            metadata["ordering-key"] = message.ordering_key
        headers |= {key.lower(): value for key, value in message.attributes.items()}
        headers |= {f"x-goog-pubsub-{key}": value for key, value in metadata.items()}
    return headers, message.data


def _wrapped(name: str, message: Proto, attempt: int, published: str) -> Mapping[str, Any]:
    """Returns the body of a wrapped push; the service writes some names in both spellings."""
    fields: dict[str, Any] = {
        "data": base64.b64encode(message.data).decode(),
        "messageId": message.message_id,
        "message_id": message.message_id,
        "publishTime": published,
        "publish_time": published,
    }
    if message.attributes:
        fields["attributes"] = dict(message.attributes)
    if message.ordering_key:
        fields["orderingKey"] = message.ordering_key
    attempts = {"deliveryAttempt": attempt} if attempt else {}
    return {"message": fields, "subscription": name, **attempts}
