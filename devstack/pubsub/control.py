"""What a test asks of the server beyond Pub/Sub: counts, certificates of tokens, and to push its clock forward.

Served next to Pub/Sub as `millrace.devstack.PubSubControl`, with well-known protocol buffer types. The
functions here are the client's side.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import grpc
from google.protobuf import duration_pb2, empty_pb2, struct_pb2

from devstack.pubsub import wire
from devstack.pubsub.calls import Context, Service, service, unary
from devstack.pubsub.errors import invalid
from devstack.pubsub.model import SECOND, SubscriptionStats
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.tokens import Issuer
from devstack.pubsub.wire import Proto

_SERVICE: Final = "millrace.devstack.PubSubControl"
_TIMEOUT_S: Final = 30.0


def stats(address: str) -> dict[str, SubscriptionStats]:
    """Returns the counts of every subscription of a running server.

    Args:
        address: the server's "host:port".

    Returns:
        Counts by full subscription name.

    Raises:
        grpc.RpcError: when the server does not answer.

    Example:
        >>> from devstack.pubsub.process import running_server
        >>> with running_server() as address:
        ...     stats(address)
        {}
    """
    answer = _call(address, "Stats", empty_pb2.Empty(), struct_pb2.Struct)
    return {
        name: SubscriptionStats(**{count: int(value) for count, value in counts.items()})
        for name, counts in answer.items()
    }


def advance(address: str, seconds: float) -> None:
    """Pushes the clock of a running server forward: leases run out, backoffs pass, retention ends.

    Args:
        address: the server's "host:port".
        seconds: how far; never negative.

    Raises:
        grpc.RpcError: when the server does not answer, or refuses to go back.
    """
    _call(address, "Advance", wire.duration(round(seconds * SECOND)), empty_pb2.Empty)


def certificates(address: str) -> dict[str, str]:
    """Returns what the tokens of a running server's push requests are verified with.

    Args:
        address: the server's "host:port".

    Returns:
        Certificates in PEM by key id.

    Raises:
        grpc.RpcError: when the server does not answer.
    """
    answer = _call(address, "Certificates", empty_pb2.Empty(), struct_pb2.Struct)
    return {key_id: str(pem) for key_id, pem in answer.items()}


def control_service(runtime: Runtime, issuer: Issuer) -> Service:
    """Returns the service's handlers over a runtime."""

    async def answer_stats(_: Proto, __: Context) -> Proto:
        counts: Mapping[str, SubscriptionStats] = runtime.broker.stats()
        answer = struct_pb2.Struct()
        for name, numbers in counts.items():
            answer.get_or_create_struct(name).update(asdict(numbers))
        return answer

    async def answer_advance(request: Proto, _: Context) -> Proto:
        length = wire.nanoseconds(request)
        if length < 0:
            raise invalid("A clock cannot go back; advance it by a positive duration.")
        runtime.advance(length / SECOND)
        return empty_pb2.Empty()

    async def answer_certificates(_: Proto, __: Context) -> Proto:
        answer = struct_pb2.Struct()
        answer.update(issuer.certificates())
        return answer

    return service(
        _SERVICE,
        {
            "Certificates": unary(answer_certificates, empty_pb2.Empty, struct_pb2.Struct),
            "Stats": unary(answer_stats, empty_pb2.Empty, struct_pb2.Struct),
            "Advance": unary(answer_advance, duration_pb2.Duration, empty_pb2.Empty),
        },
    )


def _call(address: str, method: str, request: Proto, response: Any) -> Proto:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            f"/{_SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return call(request, timeout=_TIMEOUT_S)
