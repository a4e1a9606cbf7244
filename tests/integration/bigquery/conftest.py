"""One stand-in for all tests of it, and a dataset of its own for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from devstack.bigquery import BigQueryAddress, running_bigquery

PROJECT = "local-project"


@pytest.fixture(scope="session")
def bigquery_address() -> Iterator[BigQueryAddress]:
    with running_bigquery() as address:
        yield address


@pytest.fixture(scope="session")
def client(bigquery_address: BigQueryAddress) -> Iterator[bigquery.Client]:
    with bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": bigquery_address.rest_url},
    ) as client:
        yield client


@pytest.fixture(scope="session")
def channel(bigquery_address: BigQueryAddress) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(bigquery_address.grpc_target) as channel:
        yield channel


@pytest.fixture(scope="session")
def write_client(channel: grpc.Channel) -> BigQueryWriteClient:
    return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))


@pytest.fixture(scope="session")
def read_client(channel: grpc.Channel) -> BigQueryReadClient:
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


@pytest.fixture
def dataset(client: bigquery.Client) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    client.create_dataset(name)
    yield name
    client.delete_dataset(name, delete_contents=True)


@pytest.fixture
def rows(client: bigquery.Client, dataset: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Run a statement in the test's own dataset, and fetch its rows."""

    def run(sql: str) -> list[tuple[Any, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
        return [tuple(row) for row in client.query_and_wait(sql, job_config=config)]

    return run
