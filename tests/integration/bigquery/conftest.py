"""One stand-in for all tests of it, and a dataset of its own for each."""

import uuid
from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

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


@pytest.fixture
def dataset(client: bigquery.Client) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    client.create_dataset(name)
    yield name
    client.delete_dataset(name, delete_contents=True)
