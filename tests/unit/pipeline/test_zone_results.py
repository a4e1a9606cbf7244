from dataclasses import fields
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.results import NodeResult, zone_result

NOW = datetime(2026, 1, 2, tzinfo=UTC)
nodes = st.lists(
    st.builds(
        NodeResult,
        name=st.sampled_from(["str_members", "ref_member_profiles"]),
        kind=st.sampled_from(["model", "snapshot", "seed", "test", "unit_test", "other"]),
        outcome=st.sampled_from(["ok", "warning", "failed", "skipped"]),
        seconds=st.floats(0, 10),
        rows=st.none() | st.integers(0, 10),
        message=st.just("because"),
    ),
    min_size=1,
).map(tuple)


@given(nodes=nodes)
def test_every_node_is_counted_once_and_one_failure_fails_the_zone(nodes: tuple[NodeResult, ...]) -> None:
    result = zone_result("structure", NOW, 1.5, nodes)
    counted = (
        result.models_built + result.models_failed + result.tests_passed
        + result.tests_warned + result.tests_failed + result.nodes_skipped
    )  # fmt: skip
    warned_models = sum(node.outcome == "warning" and node.kind in {"model", "snapshot", "seed"} for node in nodes)
    hooks = sum(node.kind == "other" and node.outcome != "skipped" for node in nodes)
    assert counted + warned_models + hooks == len(nodes)
    failed = [node for node in nodes if node.outcome == "failed"]
    assert result.succeeded is not bool(failed)
    assert result.errors == tuple(f"{node.name}: because" for node in failed)


def test_a_zone_without_a_node_is_not_a_zone_that_is_up_to_date() -> None:
    result = zone_result("structure", NOW, 0.1, ())
    assert result.status == "failed"
    assert "selectors.yml" in result.errors[0]


def test_a_fault_of_the_whole_run_fails_the_zone_and_is_told_alone() -> None:
    result = zone_result("structure", NOW, 0.1, (), ("no such selector",))
    assert (result.status, result.errors) == ("failed", ("no such selector",))


def test_the_summary_is_plain_json_without_the_nodes() -> None:
    result = zone_result("structure", NOW, 1.23456, (NodeResult("m", "model", "ok", 1.0, 3, "OK"),))
    summary = result.summary()
    assert msgspec.json.decode(msgspec.json.encode(summary)) == summary
    assert set(summary) == {field.name for field in fields(result)} - {"nodes"}
    assert (summary["seconds"], summary["started_at"], summary["models_built"]) == (
        1.235,
        "2026-01-02T00:00:00+00:00",
        1,
    )
