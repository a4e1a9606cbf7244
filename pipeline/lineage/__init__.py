"""Lineage of the builds, as OpenLineage events: https://openlineage.io/docs/spec/object-model."""
