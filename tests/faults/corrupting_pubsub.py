"""A Pub/Sub that passes every call on to another, and spoils some responses of StreamingPull on the way."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

_PULL = "/google.pubsub.v1.Subscriber/StreamingPull"


@dataclass
class CorruptingPubSub(grpc.GenericRpcHandler):
    """Passes bytes on, whatever the method.

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

    def service(self, handler_call_details: Any) -> Any:
        """See `grpc.GenericRpcHandler`; a unary call is a stream of one message on the wire."""
        method = handler_call_details.method

        async def forward(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            self.streams += method == _PULL
            call: Any = self.channel.stream_stream(method)(requests)
            try:
                async for response in call:
                    spoil = next(self.spoils, None) if method == _PULL else None
                    self.spoilt += spoil is not None
                    yield response if spoil is None else spoil(response)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")

        return grpc.stream_stream_rpc_method_handler(forward)  # type: ignore[arg-type] # the stubs know no coroutines


@asynccontextmanager
async def corrupting(
    target: str, spoils: Iterator[Callable[[bytes], bytes]]
) -> AsyncIterator[tuple[str, CorruptingPubSub]]:
    """Serve on a free port; yield the address and the handler."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        handler = CorruptingPubSub(channel, spoils)
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}", handler
        finally:
            await server.stop(None)
