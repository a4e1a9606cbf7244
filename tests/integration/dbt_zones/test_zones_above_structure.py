"""The refined and analytics zones against an oracle, on a local BigQuery."""

from collections.abc import Iterable
from typing import Any

import pytest
import zones_oracle as oracle
from zones_rows import AS_OF, Row
from zones_warehouse import ANALYTICS, Build, Warehouse

FACTS = "analytics.fct_transactions"


def column(rows: Iterable[Row], key: str, *names: str) -> dict[Any, Any]:
    return {row[key]: row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows}


@pytest.mark.parametrize("attribute", ["first_name", "last_name", "birth_date", "income_band"])
def test_golden_record_takes_the_most_trusted_and_latest_statement(first: Build, attribute: str) -> None:
    profiles = first.built["refined.member_profiles"]
    assert column(profiles, "member_id", attribute, f"{attribute}_source") == oracle.golden(
        first.given.tables, attribute
    )


def test_points_balance_is_the_ledger(first: Build) -> None:
    loyalty = first.built["refined.member_loyalty"]
    assert column(loyalty, "member_id", "points_balance") == oracle.balances(first.given.tables)


def test_points_lapse_in_the_order_of_their_expiry(first: Build) -> None:
    loyalty = first.built["refined.member_loyalty"]
    found = column(loyalty, "member_id", "points_expiring_90d")
    assert found == oracle.expiring(first.given.tables, days=90)
    assert any(found.values())


def test_consent_is_the_latest_statement_and_withdrawal_wins_ties(first: Build) -> None:
    consents = first.built["refined.member_consents"]
    found = {(row["member_id"], row["purpose"], row["channel"]): row["state"] for row in consents}
    assert found == oracle.consents(first.given.tables)
    assert set(found.values()) == {"granted", "withdrawn", "expired"}


def test_no_preference_is_allowed_without_consent(first: Build) -> None:
    consents = oracle.consents(first.given.tables)
    for row in first.built["refined.member_preferences"]:
        granted = consents.get((row["member_id"], "marketing", row["channel"])) == "granted"
        assert row["is_allowed"] == (row["is_enabled"] and granted), row


@pytest.mark.parametrize("name", ["first", "second"])
def test_transactions_are_those_of_customers_in_euros(request: pytest.FixtureRequest, name: str) -> None:
    build: Build = request.getfixturevalue(name)
    facts = column(build.built[FACTS], "transaction_id", "amount_eur")
    assert facts == oracle.transactions(build.given.tables)


def test_member_months_sum_what_happened(first: Build) -> None:
    names = ("spend_eur", "transactions", "points_earned", "points_redeemed", "points_change", "interactions")
    found = column(first.built["analytics.member_months"], "member_month_key", *names)
    expected = oracle.months(first.given.tables)
    assert found == {key: tuple(month[name] for name in names) for key, month in expected.items()}


def test_rfm_scores_are_quintiles_of_the_buyers(first: Build) -> None:
    members = first.built["analytics.ms_member"]
    found = column(members, "member_id", "recency_score", "frequency_score", "monetary_score")
    assert found == oracle.rfm(first.given.tables)
    assert {score for scores in found.values() for score in scores} == {0, 1, 2, 3, 4, 5}


def test_engagement_is_the_weighted_sum_within_its_bounds(first: Build) -> None:
    members = first.built["analytics.ms_member"]
    for row in members:
        assert 0 <= row["engagement_score"] <= 100
        assert abs(row["engagement_score"] - oracle.engagement(row)) <= 0.5 + 1e-9, row
    assert len({row["engagement_score"] for row in members}) > 10


def test_analytics_hold_customers_and_nobody_else(first: Build) -> None:
    customers = oracle.customers(first.given.tables)
    assert set(column(first.built["analytics.ms_member"], "member_id", "as_of").items()) == {
        (member_id, AS_OF) for member_id in customers
    }
    assert {row["member_id"] for row in first.built["analytics.dim_members"]} == customers


def test_analytics_hold_no_personal_data_in_clear(first: Build) -> None:
    assert "canary" in repr(first.built["refined.member_profiles"]).casefold()
    for table in ANALYTICS:
        assert "canary" not in repr(first.built[f"analytics.{table}"]).casefold(), table


def test_an_incremental_run_ends_where_a_full_refresh_does(second: Build, fresh: Build) -> None:
    assert second.built[FACTS] == fresh.built[FACTS]


def test_the_changes_reached_the_facts(first: Build, second: Build) -> None:
    before = column(first.built[FACTS], "transaction_id", "amount_eur", "occurred_at")
    after = column(second.built[FACTS], "transaction_id", "amount_eur", "occurred_at")
    assert before.keys() - after.keys()
    assert after.keys() - before.keys()
    assert any(before[key] != after[key] for key in before.keys() & after.keys())


def test_unit_tests_of_the_models_pass(warehouse: Warehouse, first: Build) -> None:
    models = [f"path:dbt_project/models/{zone},test_type:unit" for zone in ("refined", "analytics")]
    warehouse.dbt("test", "--select", *models)
