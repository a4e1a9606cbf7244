"""What corrections cannot mend is refused before anything is asked or published."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from core.contracts import Column, Contracts, TableContract
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings
from devstack.pubsub.process import running_server
from reconcile.config import ReconcileConfig
from reconcile.repair.events import Correction
from reconcile.repair.mending import repair
from reconcile.repair.place import Place
from reconcile.repair.publishing import publish, publishing
from reconcile.repair.republishing import Republishing, republish
from reconcile.result import ColumnResult, ComparisonResult, Counts, Inputs, RunResult, SnapshotId, Timing, Versions

AT = datetime(2026, 1, 5, 7, tzinfo=UTC)
CONTRACT = TableContract(
    name="things", source="shop", dataset="raw", description="", owner="", wire_format="debezium",
    topic="shop.public.things", notification_topic=None, api_path=None,
    columns=(Column("id", "int64", "", True, False, None, ()), Column("v", "string", "", False, True, None, ())),
)  # fmt: skip
CONFIG = ReconcileConfig.model_validate({"version": 1, "comparisons": [{"contract": "things"}]})


@pytest.fixture
def call(tmp_path: Path) -> Republishing:
    """A run that found a missing row; nobody answers for BigQuery."""
    side = pa.struct([("id", pa.int64()), ("v", pa.string())])
    table = pa.table(
        {
            "kind": ["missing"],
            "changed_columns": pa.array([[]], pa.list_(pa.string())),
            "warehouse": pa.array([None], side),
            "snapshot": pa.array([{"id": 1, "v": "x"}], side),
        }
    )
    pq.write_table(table, tmp_path / "things.parquet")
    found = ComparisonResult(
        name="things",
        contract="things",
        owner="",
        verdict="different",
        reason=None,
        counts=Counts(missing=1),
        columns=(
            ColumnResult("id", "id", "int64", True, "exact", 0),
            ColumnResult("v", "v", "string", False, "exact", 0),
        ),
        not_compared=(),
        sample=(),
        differences_file="things.parquet",
        inputs=Inputs("a-project.structure.things", "", AT, None, (), "parquet"),
        timing=Timing(0, 0),
    )
    result = RunResult(
        schema_version=2, run_id="r1", verdict="different", started_at=AT, seconds=1, project="a-project",
        snapshot=SnapshotId("s3://snapshots", "s1", AT), comparisons=(found,), not_run=(),
        versions=Versions("", "", "", ""),
    )  # fmt: skip
    settings = Settings(project="a-project", bigquery_emulator_host="127.0.0.1:1")
    client = bigquery.Client(
        "a-project",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint="http://127.0.0.1:1"),
    )
    contracts = Contracts({"things": CONTRACT})
    return Republishing(CONFIG, settings, contracts, result, tmp_path, tmp_path / "repair", client)


def _with(call: Republishing, **changes: Any) -> Republishing:
    [found] = call.result.comparisons
    return replace(call, result=replace(call.result, comparisons=(replace(found, **changes),)))


def _of(call: Republishing, **changes: Any) -> Republishing:
    return replace(call, contracts=Contracts({"things": replace(CONTRACT, **changes)}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda call: _with(call, contract=None), "has no contract"),
        (lambda call: _of(call, wire_format="maxwell"), "carries maxwell in json"),
        (lambda call: _of(call, encoding="avro"), "carries debezium in avro"),
        (lambda call: _with(call, columns=call.result.comparisons[0].columns[:1]), "v was not compared"),
        (
            lambda call: replace(call, result=replace(call.result, snapshot=SnapshotId("s3://s", "s1", None))),
            "no manifest says when the snapshot was taken",
        ),
        (lambda call: _with(call, inputs=None), "no table of BigQuery"),
    ],
)
def test_a_table_that_events_cannot_mend_is_refused(call: Republishing, spoil: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        republish(spoil(call), send=True)
    assert list(call.output.iterdir()) == []


def _configured(**comparison: Any) -> ReconcileConfig:
    return ReconcileConfig.model_validate({"version": 1, "comparisons": [{"contract": "things", **comparison}]})


@pytest.mark.parametrize(
    ("comparison", "told"),
    [
        ({"columns": {"v": {"warehouse": "w"}}}, "v of the warehouse is made of other columns"),
        ({"columns": {"v": {"warehouse": {"constant": 1}}}}, "v of the warehouse is made of other columns"),
        ({"soft_deletes": {"warehouse": "deleted_at"}}, "only a boolean can be set"),
    ],
)
def test_what_a_statement_cannot_set_is_refused(call: Republishing, comparison: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        repair(_configured(**comparison), call.result, call.folder, output=call.output)
    assert list(call.output.iterdir()) == []


def test_a_row_that_is_marked_as_deleted_is_brought_back_and_not_inserted_beside_itself(call: Republishing) -> None:
    marked = _configured(soft_deletes={"warehouse": {"column": "is_gone", "values": [True]}})
    [mended] = repair(marked, call.result, call.folder, output=call.output)
    assert mended.file is not None
    assert "when matched and t.is_gone then update set v = s.v, is_gone = false" in " ".join(
        mended.file.read_text().split()
    )


def test_what_holds_no_differences_needs_nothing(call: Republishing) -> None:
    [told] = republish(_with(call, differences_file=None, counts=Counts(duplicated_keys=2)), send=True)
    assert (told.file, told.messages, told.left, told.published) == (None, 0, 2, 0)


def test_a_topic_that_is_not_there_and_a_message_that_is_refused_are_told_apart() -> None:
    message = Correction("shop.public.things", "{}", b"{}", {}, Place("0", 0), "missing")
    too_long = replace(message, ordering_key="k" * 2_000)
    with running_server() as address:
        settings = Settings(project="a-project", pubsub_emulator_host=address)
        with publishing(settings) as client:
            with pytest.raises(ConfigurationError, match="things: is not there"):
                publish(client, settings, [message])
            client.create_topic(name="projects/a-project/topics/shop.public.things")
            with pytest.raises(UnavailableError, match="publishes only the rest"):
                publish(client, settings, [too_long])
            assert len(publish(client, settings, [message, message])) == 2
