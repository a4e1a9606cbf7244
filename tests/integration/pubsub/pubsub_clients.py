"""The stock clients and a bare streaming pull, with what the scenarios repeat."""

import queue
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
from google.cloud import pubsub_v1
from google.pubsub_v1 import types

T = TypeVar("T")
PATIENCE_S = 15.0
StreamingPullRequest: Any = types.StreamingPullRequest.pb()


def eventually(probe: Callable[[], T]) -> T:
    """Returns the first true value of a probe."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s"
        time.sleep(0.01)
    return found


class Stream:
    """A streaming pull without a client library in between."""

    def __init__(self, channel: grpc.Channel, **first: Any) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.send(**{"stream_ack_deadline_seconds": 60} | first)
        method = channel.stream_stream(
            "/google.pubsub.v1.Subscriber/StreamingPull",
            request_serializer=StreamingPullRequest.SerializeToString,
            response_deserializer=types.StreamingPullResponse.pb().FromString,
        )
        self._call = method(iter(self._requests.get, None), timeout=PATIENCE_S)

    def send(self, **request: Any) -> None:
        self._requests.put(StreamingPullRequest(**request))

    def half_close(self) -> None:
        self._requests.put(None)

    def response(self) -> Any:
        return next(self._call)

    def receive(self, count: int) -> list[Any]:
        """Returns the next messages, exactly as many as asked for."""
        received: list[Any] = []
        while len(received) < count:
            received += self.response().received_messages
        assert len(received) == count
        return received

    def drain(self) -> None:
        """Reads to the end of the stream."""
        for _ in self._call:
            pass

    def close(self) -> None:
        self._call.cancel()
        self.half_close()


class Clients:
    """Stock clients of one server, and the resources of one project."""

    def __init__(self, address: str, project: str) -> None:
        self.address = address
        self.project = project
        self.publisher = pubsub_v1.PublisherClient(
            publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
        )
        self.subscriber = pubsub_v1.SubscriberClient()
        self.channel = grpc.insecure_channel(address)

    def close(self) -> None:
        self.publisher.stop()
        self.subscriber.close()
        self.channel.close()

    def topic(self, name: str = "events", **fields: Any) -> str:
        path = f"projects/{self.project}/topics/{name}"
        self.publisher.create_topic(request={"name": path, **fields})
        return path

    def subscription(self, topic: str, name: str = "reader", **fields: Any) -> str:
        path = f"projects/{self.project}/subscriptions/{name}"
        self.subscriber.create_subscription(request={"name": path, "topic": topic, **fields})
        return path

    def snapshot_path(self, name: str) -> str:
        return f"projects/{self.project}/snapshots/{name}"

    def publish(self, topic: str, data: Iterable[str], key: str = "", **attributes: str) -> list[str]:
        """Publishes through the batching client, and returns the ids in order."""
        futures = [self.publisher.publish(topic, one.encode(), ordering_key=key, **attributes) for one in data]
        return [future.result(timeout=PATIENCE_S) for future in futures]

    def pull(self, subscription: str, count: int) -> list[Any]:
        """Pulls until there are as many messages as asked for."""
        received: list[Any] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(received) < count:
            assert time.monotonic() < deadline, f"only {len(received)} of {count} messages came"
            answer = self.subscriber.pull(subscription=subscription, max_messages=count - len(received), timeout=5)
            received += answer.received_messages
        return received

    def pull_now(self, subscription: str) -> list[Any]:
        """Returns what is there at this moment."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            request = {"subscription": subscription, "max_messages": 1000, "return_immediately": True}
            return list(self.subscriber.pull(request=request, timeout=5).received_messages)

    def acknowledge(self, subscription: str, received: Iterable[Any]) -> None:
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])

    def modify_deadline(self, subscription: str, received: Iterable[Any], seconds: int) -> None:
        self.subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[one.ack_id for one in received], ack_deadline_seconds=seconds
        )

    @contextmanager
    def stream(self, subscription: str, **first: Any) -> Iterator[Stream]:
        stream = Stream(self.channel, subscription=subscription, **first)
        try:
            yield stream
        finally:
            stream.close()


def texts(received: Iterable[Any]) -> list[str]:
    """Returns the messages' data."""
    return [one.message.data.decode() for one in received]
