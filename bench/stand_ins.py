"""The local services that the benchmarks run against, each started when it is first needed."""

from contextlib import ExitStack
from functools import cached_property
from typing import Self

import psutil

from core.settings import Settings
from devstack.bigquery import running_bigquery
from devstack.bigquery.address import BigQueryAddress
from devstack.pubsub.process import running_server


class StandIns:
    """Pub/Sub and BigQuery in processes of their own; a context manager, at whose end they stop."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(self, project: str) -> Settings:
        """Return settings that reach both services.

        Args:
            project: a project of its own, so that nothing of another benchmark is in the way.
        """
        address = self._bigquery
        return self.pubsub_settings(project).model_copy(
            update={
                "bigquery_emulator_host": address.rest_url,
                "bigquery_storage_emulator_host": address.grpc_target,
            }
        )

    def pubsub_settings(self, project: str) -> Settings:
        """Return settings that reach Pub/Sub only.

        Args:
            project: a project of its own.
        """
        return Settings(environment="local", project=project, pubsub_emulator_host=self._pubsub, api_base_url=None)

    @cached_property
    def bigquery_pid(self) -> int:
        """Process id of BigQuery, whose CPU time a benchmark may want to know."""
        _ = self._bigquery
        [pid] = (child.pid for child in psutil.Process().children() if "devstack.bigquery" in child.cmdline())
        return pid

    @cached_property
    def _pubsub(self) -> str:
        return self._stack.enter_context(running_server())

    @cached_property
    def _bigquery(self) -> BigQueryAddress:
        return self._stack.enter_context(running_bigquery())
