"""What all gRPC handlers share: turning refusals into statuses, and building generic services."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from devstack.pubsub.errors import PubSubError
from devstack.pubsub.wire import Proto

# Quoted, because the classes are generic in the type stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Method: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Service: TypeAlias = "grpc.GenericRpcHandler[Any, Any]"
Unary = Callable[[Proto, Context], Awaitable[Proto]]
INVALID_ACK_ID: Final = "PERMANENT_FAILURE_INVALID_ACK_ID"
UNORDERED_ACK_ID: Final = "TRANSIENT_FAILURE_UNORDERED_ACK_ID"
# A trailing metadata block above 8 KiB is refused by clients with default settings.
_MAX_FAILURE_BYTES: Final = 5000


async def refuse(context: Context, error: PubSubError) -> NoReturn:
    """Ends a call with the status of a refusal.

    Failed acknowledgements are told the way the client libraries look for them: as a `google.rpc.ErrorInfo`
    with one metadata entry per id (https://cloud.google.com/pubsub/docs/exactly-once-delivery). Ids that do not
    fit are left out; their owner learns from the status alone that they may have failed.
    """
    status = grpc.StatusCode[error.code.value]
    trailing: tuple[tuple[str, bytes], ...] = ()
    if error.ack_failures:
        trailing = (("grpc-status-details-bin", _failure_details(status, error)),)
    await context.abort(status, str(error), trailing)


def unary(behaviour: Unary, request: Any, response: Any) -> Method:
    """Returns the handler of a unary method.

    Args:
        behaviour: answers the request, or raises `PubSubError`.
        request: the protocol buffer class of the request.
        response: the class of the response.
    """

    async def answer(message: Proto, context: Context) -> Proto:
        try:
            return await behaviour(message, context)
        except PubSubError as error:
            await refuse(context, error)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def service(name: str, handlers: Mapping[str, Method]) -> Service:
    """Returns a service for `grpc.aio.Server.add_generic_rpc_handlers`."""
    return grpc.method_handlers_generic_handler(name, dict(handlers))


def _failure_details(status: grpc.StatusCode, error: PubSubError) -> bytes:
    info = error_details_pb2.ErrorInfo(reason="EXACTLY_ONCE_ACKID_FAILURE", domain="pubsub.googleapis.com")
    size = 0
    for ack_id, failure in error.ack_failures.items():
        size += len(ack_id) + len(failure) + 8
        if size > _MAX_FAILURE_BYTES:
            break
        info.metadata[ack_id] = failure
    detail = any_pb2.Any()
    detail.Pack(info)
    details: bytes = status_pb2.Status(code=status.value[0], message=str(error), details=[detail]).SerializeToString()
    return details
