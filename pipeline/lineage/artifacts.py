"""What dbt leaves of a build, read into OpenLineage events by the reader that `dbt-ol` uses.

The reader is `openlineage-integration-common`'s, so backends see the facets they know. Three things it gets wrong for a
project like ours are mended here: it takes ephemeral models for tables, leaves snapshots and seeds out of what a model
reads, and names CTEs as the origin of columns.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from openlineage.client.event_v2 import InputDataset, RunEvent
from openlineage.common.provider.dbt.facets import DbtRunRunFacet, ParentRunMetadata
from openlineage.common.provider.dbt.processor import DbtArtifactProcessor, ModelNode

from pipeline.dbt_project import DbtArtifacts

PRODUCER: Final = "https://github.com/OpenLineage/OpenLineage/tree/main/integration/dbt"
"""The reader, which is who `producer` names in each event and facet."""

_READ: Final = ("model.", "snapshot.", "seed.", "source.")
# dbt-ol's reader tells on its log what it makes nothing of, with the whole node; there is nothing to be done about it.
_QUIET: Final = logging.getLogger(f"{__name__}.reader")
_QUIET.setLevel(logging.ERROR)


def read_events(artifacts: DbtArtifacts, namespace: str, parent: ParentRunMetadata) -> list[RunEvent]:
    """Turn what dbt leaves of a build into events: a start and an end of each model, snapshot and test.

    Args:
        artifacts: the project and the results, as dbt returned them.
        namespace: OpenLineage namespace of the jobs.
        parent: the run that the build belongs to.

    Returns:
        The events, starts first.

    Raises:
        ValueError: when dbt's artifacts are not as the reader knows them.
    """
    reader = _Reader(artifacts, namespace)
    reader.dbt_run_metadata = parent
    events: list[RunEvent] = reader.parse().events()
    for event in events:
        reader.mend(event)
    return events


class _Reader(DbtArtifactProcessor):  # type: ignore[misc]  # the package has no types
    """dbt-ol's reader, of a build in this process."""

    def __init__(self, artifacts: DbtArtifacts, namespace: str) -> None:
        # Skipping errors leaves out nodes of a status that the reader does not know, such as a batch half done.
        super().__init__(producer=PRODUCER, job_namespace=namespace, skip_errors=True, logger=_QUIET)
        self._artifacts = artifacts

    def get_dbt_metadata(self) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, str], None]:
        """Return manifest, results, profile and catalog in the form of dbt's files."""
        written = replace(self._artifacts.manifest.writable_manifest(), macros={}, docs={}, selectors={})
        metadata = written.metadata
        return (
            written.to_dict(omit_none=False),
            self._artifacts.results.to_dict(omit_none=False),
            {"type": metadata.adapter_type},
            None,
        )

    def dbt_run_run_facet(self) -> dict[str, DbtRunRunFacet]:
        """Return the facet that names the invocation, which the audit tables name too."""
        return {
            "dbt_run": DbtRunRunFacet(
                invocation_id=self.run_metadata["invocation_id"],
                project_name=self._artifacts.manifest.metadata.project_name,
                dbt_runtime="core",
                full_refresh=self.full_refresh,
            )
        }

    def get_column_lineage(self, namespace: str, compiled_sql: str) -> Any:
        """Return the origin of each column, as far as the parser follows it to a table."""
        facet = super().get_column_lineage(namespace, compiled_sql)
        if facet is None:
            return None
        tables = {self._name(node) for node in self._nodes().values()}
        traced = {
            column: type(fields)(inputFields=[origin for origin in fields.inputFields if origin.name in tables])
            for column, fields in facet.fields.items()
        }
        traced = {column: fields for column, fields in traced.items() if fields.inputFields}
        return type(facet)(fields=traced) if traced else None

    def mend(self, event: RunEvent) -> None:
        """Have an event of a model or snapshot read what is really read."""
        facets: Mapping[str, Any] = event.job.facets or {}
        if facets["jobType"].jobType not in ("MODEL", "SNAPSHOT"):
            return
        told = {dataset.name: dataset for dataset in event.inputs or ()}
        read = {self._name(node): node for node in self._read_by(facets["dbt_node"].unique_id)}
        event.inputs = [told.get(table) or self._dataset(node) for table, node in read.items()]

    def _read_by(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Yield the tables that a node reads, be it by way of ephemeral models."""
        for parent in self.manifest["parent_map"][name]:
            if not parent.startswith(_READ):
                continue
            node = self._nodes()[parent]
            if node.get("config", {}).get("materialized") == "ephemeral":
                yield from self._read_by(parent)
            else:
                yield node

    def _nodes(self) -> Mapping[str, Mapping[str, Any]]:
        return {**self.manifest["nodes"], **self.manifest["sources"]}

    def _dataset(self, node: Mapping[str, Any]) -> InputDataset:
        found = self.node_to_dataset(ModelNode(type=node["resource_type"], metadata_node=node), has_facets=True)
        return InputDataset(namespace=found.namespace, name=found.name, facets=found.facets)

    def _name(self, node: Mapping[str, Any]) -> str:
        name: str = self._format_dataset_name(
            node["database"], node["schema"], node["name"] if node["resource_type"] == "source" else node["alias"]
        )
        return name
