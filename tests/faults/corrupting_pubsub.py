"""A Pub/Sub that passes every call on to another, and spoils some responses of StreamingPull on the way."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

_PULL = "StreamingPull"
_METHODS = {
    "google.pubsub.v1.Subscriber": (_PULL, "Acknowledge", "ModifyAckDeadline", "GetSubscription"),
    "google.pubsub.v1.Publisher": ("Publish",),
}


@dataclass
class CorruptingPubSub:
    """Passes on the bytes of the methods that an ingester calls.

    Attributes:
        channel: leads to the server.
        spoils: spoil the first responses of StreamingPull, one each.
        streams: how often a stream was opened.
        spoilt: how many responses were spoilt.
    """

    channel: grpc.aio.Channel
    spoils: Iterator[Callable[[bytes], bytes]]
    streams: int = field(default=0, init=False)
    spoilt: int = field(default=0, init=False)

    def handlers(self) -> tuple[Any, ...]:
        """Return what serves the methods; a unary call is a stream of one message on the wire."""
        return tuple(
            grpc.method_handlers_generic_handler(
                service, {name: grpc.stream_stream_rpc_method_handler(self._passing(service, name)) for name in names}
            )
            for service, names in _METHODS.items()
        )

    def _passing(self, service: str, name: str) -> Any:
        is_pull = name == _PULL

        async def forward(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            self.streams += is_pull
            call: Any = self.channel.stream_stream(f"/{service}/{name}", None, None)(requests)
            try:
                async for response in call:
                    spoil = next(self.spoils, None) if is_pull else None
                    self.spoilt += spoil is not None
                    yield response if spoil is None else spoil(response)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")

        return forward


@asynccontextmanager
async def corrupting(
    target: str, spoils: Iterator[Callable[[bytes], bytes]]
) -> AsyncIterator[tuple[str, CorruptingPubSub]]:
    """Serve on a free port; yield the address and what passes calls on."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        passing = CorruptingPubSub(channel, spoils)
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(passing.handlers())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}", passing
        finally:
            await server.stop(None)
