"""The refined and analytics zones against an oracle, on a local BigQuery."""

import dataclasses
import math
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zones_behaviour as behaviour
import zones_oracle as oracle
from layout_budget import budget_of, measured, over_budget, too_wide
from zones_costs import Costs
from zones_future import mutants
from zones_places import cell
from zones_rows import AS_OF, Row
from zones_warehouse import ANALYTICS, HISTORIES, REFINED, Build, Restated, Warehouse

FACTS = "analytics.fct_transactions"
# What describes an instant; facts and histories hold all there is.
TIMED = ("analytics.ms_member", "analytics.member_months")
OF_AN_INSTANT = (*(f"refined.member_{name}" for name in REFINED), *TIMED)


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


def test_no_more_points_can_be_spent_than_there_are(first: Build) -> None:
    loyalty = first.built["refined.member_loyalty"]
    for row in loyalty:
        assert row["points_available"] == max(0, row["points_balance"]) - row["points_overdue"] >= 0
        allowed = -row["points_balance"] <= row["overdraft_limit"]
        expected = "none" if row["points_balance"] >= 0 else "allowed" if allowed else "breach"
        assert row["overdraft_status"] == expected
    assert {row["overdraft_status"] for row in loyalty} == {"none", "allowed", "breach"}
    assert column(loyalty, "member_id", "lowest_points_balance") == oracle.lowest_balances(first.given.tables)


def test_points_lapse_in_the_order_of_their_expiry(first: Build) -> None:
    loyalty = first.built["refined.member_loyalty"]
    found = column(loyalty, "member_id", "points_expiring_90d")
    assert found == oracle.expiring(first.given.tables, days=90)
    assert any(found.values())
    late = oracle.overdue(first.given.tables)
    assert column(loyalty, "member_id", "points_overdue") == late
    assert any(late.values())


def test_what_a_source_may_send_stops_nobody(first: Build) -> None:
    built = first.built
    assert "ACTIVE" in {row["status"] for row in built["analytics.ms_member"]}
    assert "diamond" in {row["tier"] for row in built["refined.member_loyalty"]}
    assert "bonus" in {row["event_type"] for row in built["refined.member_events"]}
    assert {row["points_of_other_kinds"] for row in built["refined.member_loyalty"]} == {0, 7}
    assert None not in {value for row in built["refined.member_consents"] for value in (row["purpose"], row["channel"])}


def test_consent_is_the_latest_statement_and_withdrawal_wins_ties(first: Build) -> None:
    consents = first.built["refined.member_consents"]
    found = {(row["member_id"], row["purpose"], row["channel"]): row["state"] for row in consents}
    assert found == oracle.consents(first.given.tables)
    assert set(found.values()) == {"granted", "withdrawn", "expired"}


@pytest.mark.parametrize("hours", [-24 * 7, -72, -24, -0.001, 0])
def test_consent_is_told_of_any_instant(first: Build, hours: float) -> None:
    at = AS_OF + timedelta(hours=hours)
    found = {
        (row["member_id"], row["purpose"], row["channel"]): row["state"]
        for row in first.built["refined.member_consent_periods"]
        if row["effective_from"] <= at < row["effective_to"]
    }
    assert found == oracle.consents(first.given.tables, at)
    assert bool(found) == (hours > -24 * 7)


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


def test_windows_hold_their_events_by_pane(first: Build) -> None:
    found = {
        (row["member_id"], row["window_start"]): tuple(
            row[f"{kind}events"] for kind in ("", "early_", "on_time_", "late_")
        )
        for row in first.built["refined.member_activity"]
    }
    assert found == behaviour.windows(first.given.tables)
    assert {row["pane_timing"] for row in first.built["refined.member_activity"]} == {"early", "on_time", "late"}


def test_a_pause_of_half_an_hour_ends_a_session(first: Build) -> None:
    found = {
        (row["member_id"], row["started_at"]): (row["ended_at"], row["actions"], row["purchases"])
        for row in first.built["refined.member_sessions"]
    }
    assert found == behaviour.sessions(first.given.tables)
    assert any(actions > 2 for _, actions, _ in found.values())


@pytest.mark.parametrize("days", [7, 30, 90, 365])
def test_periods_are_compared_with_the_ones_before(first: Build, days: int) -> None:
    names = [name.format(days) for name in ("actions_{}d", "active_days_{}d", "spend_eur_{}d", "actions_trend_{}d")]
    found = column(first.built["refined.member_behaviour"], "member_id", *names, f"spend_trend_{days}d")
    assert found == behaviour.periods(first.given.tables, days)


def test_the_rhythm_of_purchases_is_told_by_their_days(first: Build) -> None:
    names = ("purchase_days", "mean_purchase_interval_days", "stddev_purchase_interval_days")
    found = column(first.built["refined.member_behaviour"], "member_id", *names)
    assert found == behaviour.rhythms(first.given.tables)
    for row in first.built["analytics.ms_member"]:
        mean = row["mean_purchase_interval_days"]
        if mean is None or row["lifecycle_stage"] == "closed":
            assert row["churn_risk"] is None
        else:
            assert row["churn_risk"] == pytest.approx(1 - math.exp(-row["days_since_purchase"] / mean), abs=1e-4)


def test_stages_of_life_follow_the_last_purchase(first: Build) -> None:
    members = [row for row in first.built["analytics.ms_member"] if row["lifecycle_stage"] != "closed"]
    for row in members:
        found = row["lifecycle_stage"]
        assert behaviour.stage(row) == (
            "new, active or reactivated" if found in ("new", "active", "reactivated") else found
        )
    assert {"prospect", "new", "active", "at_risk"} <= {row["lifecycle_stage"] for row in members}


def test_a_geohash_is_the_cell_its_place_lies_in(first: Build) -> None:
    addresses = first.built["refined.member_addresses"]
    lengths = {"source": 7, "postcode": 5, "district": 4, "area": 3, "country": 2}
    assert {row["geocode_level"] for row in addresses} == {*lengths, "none"}
    for row in addresses:
        if row["geocode_level"] == "none":
            assert row["geohash"] is row["latitude"] is None
            continue
        assert len(row["geohash"]) == lengths[row["geocode_level"]]
        (south, north), (west, east) = cell(row["geohash"])
        assert south <= row["latitude"] < north, row
        assert west <= row["longitude"] < east, row


def test_public_boundaries_tell_whole_postcodes(warehouse: Warehouse, first: Build) -> None:
    before = column(first.built["refined.member_addresses"], "address_id", "geocode_level", "postal_code")
    assert ("district", "10117") in before.values()
    warehouse.ask("create schema if not exists geo")
    warehouse.ask("create or replace table geo.zip_codes as select '10117' as zip_code, 52.5 as lat, 13.4 as lon")
    source = {"relation": f"{warehouse.client.project}.geo.zip_codes", "postcode": "zip_code"}
    source |= {"latitude": "lat", "longitude": "lon", "country_code": "DE"}
    warehouse.dbt("compile", "--select", "ref_member_addresses", postcode_boundaries=[source])
    rows = warehouse.ask(warehouse.compiled()["ref_member_addresses"])
    after = column(rows, "address_id", "geocode_level", "postal_code")
    assert {key: seen for key, seen in after.items() if seen != before[key]} == {
        key: ("postcode", "10117") for key, seen in before.items() if seen == ("district", "10117")
    }
    assert {(row["latitude"], row["longitude"]) for row in rows if row["postal_code"] == "10117"} >= {(52.5, 13.4)}


def test_boundaries_that_are_no_names_are_refused(warehouse: Warehouse, first: Build) -> None:
    assert first.built
    source = {"relation": "geo.zip_codes` where true --", "country_code": "DE"}
    source |= {"postcode": "zip_code", "latitude": "lat", "longitude": "lon"}
    with pytest.raises(AssertionError, match=r"relation is 'geo.zip_codes` where true --'; give relation"):
        warehouse.dbt("compile", "--select", "ref_member_addresses", postcode_boundaries=[source])


def test_no_feature_sees_what_was_added_after_its_instant(first: Build, later: Build) -> None:
    assert len(later.given.tables["members"]) > len(first.given.tables["members"])
    before = {row["member_id"] for row in first.given.tables["members"]}
    for table in OF_AN_INSTANT:
        found = later.built[table]
        if not table.startswith("analytics."):
            found = [row for row in found if row["member_id"] in before]
        assert found == first.built[table], table


def test_no_feature_sees_what_was_changed_or_deleted_after_its_instant(first: Build, restated: Restated) -> None:
    fates = {
        (table, was["is_deleted"], row["is_deleted"])
        for table, rows in restated.build.given.tables.items()
        for was, row in zip(first.given.tables[table], rows, strict=True)
    }
    assert {table for table, *fate in fates if fate == [False, True]} == set(first.given.tables)
    assert len({table for table, *fate in fates if fate == [True, False]}) >= 5
    for table in OF_AN_INSTANT:
        assert restated.build.built[table] == first.built[table], table


def test_every_feature_would_be_another_if_it_saw_what_came_after(first: Build, restated: Restated) -> None:
    """The control: each feature has changed by an instant two hours later, so that none can look ahead unseen."""
    before, after = (
        {row["member_id"]: row for row in rows} for rows in (first.built["analytics.ms_member"], restated.members)
    )
    both = before.keys() & after.keys()
    blind = [name for name in restated.members[0] if all(before[key][name] == after[key][name] for key in both)]
    assert blind == ["member_id"]


def test_what_forgets_to_bring_former_rows_back_is_caught(restated: Restated) -> None:
    assert len(restated.caught) == 4
    assert all(caught for _, caught in restated.caught), restated.caught


def test_analytics_refuse_a_refined_zone_of_another_instant(warehouse: Warehouse, first: Build, tmp_path: Path) -> None:
    assert first.built
    before = {table: warehouse.rows(table) for table in TIMED}
    apart = dataclasses.replace(warehouse, folder=tmp_path)
    with pytest.raises(
        AssertionError, match=r"refined describes 2026-03-01 12:00:00.*build it with the same var as_of"
    ):
        apart.dbt("run", "--select", "ms_member", "member_months", as_of="2026-04-01T00:00:00Z")
    assert {table: warehouse.rows(table) for table in TIMED} == before


def test_a_model_that_looks_ahead_is_caught(warehouse: Warehouse, later: Build) -> None:
    assert later.built
    survivors, places = [], 0
    for model, sql in warehouse.compiled().items():
        honest = warehouse.ask(sql)
        for place, forgetful in mutants(sql):
            places += 1
            if warehouse.ask(forgetful) == honest:
                survivors.append(f"{model}: {place}")
    assert survivors == []
    assert places >= 15


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


@pytest.mark.parametrize("table", HISTORIES)
def test_histories_hold_every_row_as_it_is(first: Build, table: str) -> None:
    """Of deleted members and test accounts, too; how rows came to be so is told by tests of structure."""
    given = [row for row in first.given.tables[f"member_{table}"] if not row["is_deleted"]]
    found = first.built[f"refined.member_{HISTORIES[table]}"]
    assert len(found) == len(given) > 0
    expected = {row["_event_id"].replace("event", "version-event"): row for row in given}
    for row in found:
        (version,) = [value for name, value in row.items() if name.endswith("_version_key")]
        assert (row["version"], row["is_current"], row["is_deleted"]) == (1, True, False)
        told = {name: value for name, value in expected.pop(version).items() if name in row}
        assert {name: row[name] for name in told} == told
    assert not expected


def test_an_incremental_run_ends_where_a_full_refresh_does(second: Build, fresh: Build) -> None:
    assert second.built[FACTS] == fresh.built[FACTS]


def test_the_changes_reached_the_facts(first: Build, second: Build) -> None:
    before = column(first.built[FACTS], "transaction_id", "amount_eur", "occurred_at")
    after = column(second.built[FACTS], "transaction_id", "amount_eur", "occurred_at")
    told = [row for row in first.built[FACTS] if row["status"] is None]
    counted = column(second.built[FACTS], "transaction_id", "is_counted")
    assert told
    assert all(counted[row["transaction_id"]] and not row["is_counted"] for row in told)
    assert before.keys() - after.keys()
    assert after.keys() - before.keys()
    assert any(before[key] != after[key] for key in before.keys() & after.keys())


@pytest.mark.parametrize("zone", ["refined", "analytics"])
def test_every_model_keeps_to_its_budget_of_bytes(first: Build, zone: str) -> None:
    budget = budget_of(zone)
    read = {
        model: number for model, number in _costs(first).read.items() if model.startswith("ref_") == (zone == "refined")
    }
    assert (over_budget(read, budget), set(read)) == ([], set(budget)), measured(read)
    assert too_wide(read, budget) == {}


@pytest.mark.parametrize("zone", ["refined", "analytics"])
def test_models_that_took_every_column_would_break_their_budget(first: Build, zone: str) -> None:
    """The control."""
    budget = budget_of(zone)
    whole = {model: number for model, number in _costs(first).whole.items() if model in budget}
    assert sum(whole.values()) > sum(budget.values())
    assert len(over_budget(whole, budget)) * 2 > len(budget)


def _costs(build: Build) -> Costs:
    assert build.costs is not None
    return build.costs
