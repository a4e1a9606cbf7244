"""gRPC without the client libraries: channels, methods and status codes of Pub/Sub and the Storage Write API.

The generated clients wrap every message in proto-plus and every call in threads and futures, which costs ten to
thirty times the work itself. Here the raw protocol buffers go over `grpc.aio`; the services are defined in
https://github.com/googleapis/googleapis (`google/pubsub/v1/pubsub.proto`,
`google/cloud/bigquery/storage/v1/storage.proto`).
"""

from typing import Any, Final

import grpc
from google.auth.transport.grpc import AuthMetadataPlugin
from google.auth.transport.requests import Request
from google.cloud.bigquery_storage_v1 import types as storage_types
from google.pubsub_v1 import types as pubsub_types

from core.clients import google_credentials
from core.errors import ConfigurationError, MillraceError, UnavailableError
from core.settings import Settings

PUBSUB_HOST: Final = "pubsub.googleapis.com:443"
BIGQUERY_STORAGE_HOST: Final = "bigquerystorage.googleapis.com:443"

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A peer that vanished without a word is noticed within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Two channels of one process must not share a connection, nor its limit on concurrent streams.
    ("grpc.use_local_subchannel_pool", 1),
)

StreamingPullRequest: Final[Any] = pubsub_types.StreamingPullRequest.pb()
AcknowledgeRequest: Final[Any] = pubsub_types.AcknowledgeRequest.pb()
ModifyAckDeadlineRequest: Final[Any] = pubsub_types.ModifyAckDeadlineRequest.pb()
GetSubscriptionRequest: Final[Any] = pubsub_types.GetSubscriptionRequest.pb()
PublishRequest: Final[Any] = pubsub_types.PublishRequest.pb()
PubsubMessage: Final[Any] = pubsub_types.PubsubMessage.pb()
CreateWriteStreamRequest: Final[Any] = storage_types.CreateWriteStreamRequest.pb()
AppendRowsRequest: Final[Any] = storage_types.AppendRowsRequest.pb()

RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)


def pubsub_channel(settings: Settings) -> grpc.aio.Channel:
    """Open a channel to Pub/Sub, or to the stand-in the settings name.

    Args:
        settings: where to connect.

    Returns:
        A channel; close it when done.
    """
    return _channel(PUBSUB_HOST, settings.pubsub_emulator_host)


def storage_channel(settings: Settings) -> grpc.aio.Channel:
    """Open a channel to the BigQuery Storage API, or to the stand-in the settings name.

    Args:
        settings: where to connect.

    Returns:
        A channel; close it when done.
    """
    return _channel(BIGQUERY_STORAGE_HOST, settings.bigquery_storage_emulator_host)


def _channel(host: str, emulator: str | None) -> grpc.aio.Channel:
    if emulator is not None:
        return grpc.aio.insecure_channel(emulator, options=_OPTIONS)
    credentials = google_credentials()
    call_credentials = grpc.metadata_call_credentials(AuthMetadataPlugin(credentials, Request()))
    return grpc.aio.secure_channel(
        host, grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), call_credentials), options=_OPTIONS
    )


class PubSub:
    """The methods of Pub/Sub that the ingester calls, on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        subscriber = "/google.pubsub.v1.Subscriber/"
        self.streaming_pull: Any = channel.stream_stream(
            f"{subscriber}StreamingPull",
            StreamingPullRequest.SerializeToString,
            None,  # responses come as bytes: who reads them knows what of them is wanted
        )
        empty = pubsub_types.AcknowledgeRequest.pb().FromString  # google.protobuf.Empty: no field is read
        self.acknowledge: Any = channel.unary_unary(
            f"{subscriber}Acknowledge", AcknowledgeRequest.SerializeToString, empty
        )
        self.modify_ack_deadline: Any = channel.unary_unary(
            f"{subscriber}ModifyAckDeadline", ModifyAckDeadlineRequest.SerializeToString, empty
        )
        self.get_subscription: Any = channel.unary_unary(
            f"{subscriber}GetSubscription",
            GetSubscriptionRequest.SerializeToString,
            pubsub_types.Subscription.pb().FromString,
        )
        self.publish: Any = channel.unary_unary(
            "/google.pubsub.v1.Publisher/Publish",
            PublishRequest.SerializeToString,
            pubsub_types.PublishResponse.pb().FromString,
        )


class BigQueryWrite:
    """The methods of the Storage Write API that the ingester calls, on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        service = "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
        self.append_rows: Any = channel.stream_stream(
            f"{service}AppendRows",
            AppendRowsRequest.SerializeToString,
            storage_types.AppendRowsResponse.pb().FromString,
        )
        self.create_write_stream: Any = channel.unary_unary(
            f"{service}CreateWriteStream",
            CreateWriteStreamRequest.SerializeToString,
            storage_types.WriteStream.pb().FromString,
        )


def routing(parameter: str, value: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that routes a call to the resource's region (https://google.aip.dev/4222).

    Args:
        parameter: the request's field, such as `subscription`.
        value: its value; the resource names used here need no escaping.

    Returns:
        Metadata of the call.
    """
    return (("x-goog-request-params", f"{parameter}={value}"),)


def translate(error: grpc.aio.AioRpcError, what: str) -> MillraceError:
    """Turn a gRPC status into an error that says whether to try again.

    Args:
        error: the failed call.
        what: what was being done, for the message.

    Returns:
        `UnavailableError` when the same call may succeed later, `ConfigurationError` otherwise.
    """
    return status_error(error.code(), error.details() or "", what)


def status_error(code: grpc.StatusCode, details: str, what: str) -> MillraceError:
    """Turn a status code into an error that says whether to try again.

    Args:
        code: the status.
        details: the service's words.
        what: what was being done, for the message.

    Returns:
        `UnavailableError` when the same call may succeed later, `ConfigurationError` otherwise.
    """
    if code in RETRYABLE:
        return UnavailableError(f"{what}: {code.name}: {details}")
    fix = _FIXES.get(code, "")
    return ConfigurationError(f"{what}: {code.name}: {details.rstrip('.')}{fix}")


_FIXES: Final = {
    grpc.StatusCode.NOT_FOUND: "; create it (`ingest setup` locally, terraform elsewhere)",
    grpc.StatusCode.PERMISSION_DENIED: "; grant the service account the role it lacks",
    grpc.StatusCode.UNAUTHENTICATED: "; check the credentials (`gcloud auth application-default login`)",
}
