"""A warehouse and snapshots, made once for the tests of reconciliation."""

from collections.abc import Iterator

import pytest
from reconcile_world import CHANGED, DATASET, EQUAL, ROOT, TAKEN_AT, Estate, load_structure

from core.clients import bigquery_client, s3_client
from core.contracts import load_contracts
from core.settings import Settings
from devstack.stack import Stack
from devstack.world.planted import plant
from devstack.world.snapshots import write_snapshot
from devstack.world.world import World


@pytest.fixture(scope="session")
def estate(stack: Stack) -> Iterator[Estate]:
    with pytest.MonkeyPatch.context() as patch:
        # Boto3 finds its credentials by itself, and nowhere but in the environment.
        for name, value in stack.environment().items():
            if name.startswith("AWS_") and name != "AWS_ENDPOINT_URL_S3":
                patch.setenv(name, value)
        environment = stack.environment()
        settings = Settings(
            bigquery_emulator_host=environment["BIGQUERY_EMULATOR_HOST"],
            bigquery_storage_emulator_host=environment["BIGQUERY_STORAGE_EMULATOR_HOST"],
            s3_endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
            contracts_path=ROOT / "dbt_project/models/raw",
            snapshot_uri="s3://reconcile-snapshots",
            audit_dataset="reconcile_audit",
        )
        contracts = load_contracts(settings.contracts_path)
        world = World(7, 150, contracts)
        world.evolve(1_500)
        truth = world.truth()
        changed, planted = plant(contracts, truth, 3, each=2)
        s3 = s3_client(settings)
        for name, rows in ((EQUAL, truth), (CHANGED, changed)):
            write_snapshot(s3, settings.snapshot_uri, name, rows, contracts=contracts, taken_at=TAKEN_AT)
        with bigquery_client(settings) as client:
            load_structure(client, DATASET, contracts, truth)
            yield Estate(settings, contracts, truth, planted, changed, client)
