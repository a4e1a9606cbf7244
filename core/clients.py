"""Client factories that reach the real service, or the stand-in an emulator variable names.

Against a stand-in the clients are the same, only the address is local and the credentials are anonymous.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import boto3
import google.auth
import grpc
from botocore.config import Config
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery, bigquery_storage_v1, pubsub_v1, storage
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from core.errors import CredentialsError
from core.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]

_BOUNDED_LOOKAHEAD = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024 * 1024)]
"""What a stream may fetch ahead of who reads it: see `grpc/impl/channel_arg_names.h`. A MiB keeps a stream going at 500
MB/s over a round trip of 2 ms."""


def google_credentials() -> Credentials:
    """Return the application default credentials.

    Returns:
        Credentials for Google Cloud.

    Raises:
        CredentialsError: when there are none; the message says how to get some, or do without.
    """
    try:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    except GoogleAuthError as error:
        raise CredentialsError(
            "there are no Google Cloud credentials: run `gcloud auth application-default login`, or, to use the "
            'local stack, `devstack up` and `eval "$(devstack env)"`'
        ) from error
    return credentials


def bigquery_client(settings: Settings) -> bigquery.Client:
    """Return a BigQuery REST client for the settings' project and location.

    Args:
        settings: where to connect.

    Returns:
        A client; close it when done.
    """
    if settings.bigquery_emulator_host is None:
        return bigquery.Client(project=settings.project, location=settings.location, credentials=google_credentials())
    return bigquery.Client(
        project=settings.project,
        location=settings.location,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=_as_url(settings.bigquery_emulator_host)),
    )


def bigquery_read_client(settings: Settings) -> bigquery_storage_v1.BigQueryReadClient:
    """Return a client of the BigQuery Storage Read API, whose transport fetches little that nobody has asked for.

    By itself gRPC widens the window of a stream to what the network could carry (`grpc.http2.bdp_probe`), on a quick
    one to several messages of many MiB each, which are then held although nobody takes them. A message that is asked
    for widens the window by its own length, whatever this says.

    Args:
        settings: where to connect.

    Returns:
        A client; close its transport when done.
    """
    if settings.bigquery_storage_emulator_host is None:
        return bigquery_storage_v1.BigQueryReadClient(credentials=google_credentials(), transport=_read_transport)
    channel = _insecure(settings.bigquery_storage_emulator_host, _BOUNDED_LOOKAHEAD)
    return bigquery_storage_v1.BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


def _read_transport(**arguments: Any) -> BigQueryReadGrpcTransport:
    return BigQueryReadGrpcTransport(**arguments | {"channel": _read_channel})


def _read_channel(*arguments: Any, options: Sequence[tuple[str, int]] = (), **named: Any) -> grpc.Channel:
    channel: grpc.Channel = BigQueryReadGrpcTransport.create_channel(
        *arguments, options=[*options, *_BOUNDED_LOOKAHEAD], **named
    )
    return channel


def bigquery_write_client(settings: Settings) -> bigquery_storage_v1.BigQueryWriteClient:
    """Return a client of the BigQuery Storage Write API.

    Args:
        settings: where to connect.

    Returns:
        A client; close its transport when done.
    """
    if settings.bigquery_storage_emulator_host is None:
        return bigquery_storage_v1.BigQueryWriteClient(credentials=google_credentials())
    channel = _insecure(settings.bigquery_storage_emulator_host)
    return bigquery_storage_v1.BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))


def publisher_client(settings: Settings, **options: Any) -> pubsub_v1.PublisherClient:
    """Return a Pub/Sub publisher that keeps the order within an ordering key.

    Args:
        settings: where to connect.
        **options: further arguments of `PublisherClient`, such as `batch_settings`.

    Returns:
        A client; call `stop()` when done.
    """
    if settings.pubsub_emulator_host is not None:
        options["transport"] = PublisherGrpcTransport(channel=_insecure(settings.pubsub_emulator_host))
    else:
        options["credentials"] = google_credentials()
    return pubsub_v1.PublisherClient(
        publisher_options=pubsub_v1.types.PublisherOptions(enable_message_ordering=True), **options
    )


def subscriber_client(settings: Settings) -> pubsub_v1.SubscriberClient:
    """Return a Pub/Sub subscriber.

    Args:
        settings: where to connect.

    Returns:
        A client; close it when done.
    """
    if settings.pubsub_emulator_host is None:
        return pubsub_v1.SubscriberClient(credentials=google_credentials())
    return pubsub_v1.SubscriberClient(
        transport=SubscriberGrpcTransport(channel=_insecure(settings.pubsub_emulator_host))
    )


def s3_client(settings: Settings, attempts: int = 6) -> "S3Client":
    """Return an S3 client; credentials come from the usual AWS chain.

    Args:
        settings: where to connect.
        attempts: requests of a call in all, the first included.

    Returns:
        A boto3 client with standard retries.
    """
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, s3={"addressing_style": "path"}),
    )


def gcs_client(settings: Settings) -> storage.Client:
    """Return a Cloud Storage client; it honours `STORAGE_EMULATOR_HOST` itself.

    Args:
        settings: where to connect.

    Returns:
        A client; close it when done.
    """
    if settings.gcs_emulator_host is None:
        return storage.Client(project=settings.project, credentials=google_credentials())
    return storage.Client(
        project=settings.project,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=_as_url(settings.gcs_emulator_host)),
    )


def _insecure(address: str, options: Sequence[tuple[str, int]] = ()) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[*_CHANNEL_OPTIONS, *options])


def _as_url(host: str) -> str:
    return host if host.startswith(("http://", "https://")) else f"http://{host}"
