"""Which local BigQuery the clients of a test find."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devstack.bigquery import BigQueryAddress


@contextmanager
def environment_of(address: BigQueryAddress) -> Iterator[None]:
    """Let clients and dbt find a local BigQuery, for as long as the context lasts.

    A fixture that lives longer than a module must not keep it: a process may run other modules, with another BigQuery.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        patch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", address.grpc_target)
        patch.setenv("MILLRACE_PROJECT", "millrace-local")
        yield
