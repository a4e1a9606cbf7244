"""One local BigQuery for the module: built once, then kept up to date."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from local_bigquery import environment_of
from zones_costs import costs_of
from zones_future import add_future, mutants
from zones_restated import restate
from zones_rows import AS_OF, StructureRows
from zones_warehouse import Build, Restated, Warehouse, connect

from devstack.bigquery import running_bigquery

_ZONES = ("--select", "path:dbt_project/seeds", "path:dbt_project/models/refined", "path:dbt_project/models/analytics")

_UNLIKELY = ("ref_member_loyalty_balance_is_not_negative_unless_allowed",)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, dbt_project: Any) -> Iterator[Warehouse]:
    with running_bigquery() as address, environment_of(address):
        yield connect(address.rest_url, tmp_path_factory.mktemp("dbt"), dbt_project)


@pytest.fixture(scope="module")
def first(warehouse: Warehouse) -> Build:
    """A build with its data tests, of empty zones."""
    given = StructureRows(seed=20260301, members=60)
    add_oddities(given)
    add_reachable(given)
    warehouse.load(given.tables)
    # the ledger is drawn at random, so that many a balance is negative
    warehouse.dbt("build", *_ZONES, "--exclude", "test_type:unit", *_UNLIKELY)
    # what is built day by day names no instant
    warehouse.dbt("compile", "--select", "path:dbt_project/models/refined", as_of=None)
    return Build(given, warehouse.built(), costs_of(warehouse.client, warehouse.compiled()))


@pytest.fixture(scope="module")
def second(warehouse: Warehouse, first: Build) -> Build:
    """An incremental run after the structure zone has changed; other tables are made anew by every build."""
    given = first.given.copy()
    change(given)
    warehouse.load(given.tables)
    warehouse.dbt("run", "--select", "fct_transactions")
    return Build(given, warehouse.built())


@pytest.fixture(scope="module")
def fresh(warehouse: Warehouse, second: Build) -> Build:
    """The same rows as in `second`, built from nothing."""
    warehouse.dbt("run", "--full-refresh", "--select", "fct_transactions")
    return Build(second.given, warehouse.built())


@pytest.fixture(scope="module")
def restated(warehouse: Warehouse, first: Build, fresh: Build) -> Restated:
    """The first build once more, after most rows have been changed, voided or deleted; `fresh` is over by then."""
    assert fresh.built
    given = first.given.copy()
    restate(given)
    warehouse.load(given.tables)
    warehouse.load_raw(first.given.tables, given.tables)
    warehouse.dbt("run", "--select", "path:dbt_project/models/refined", "ms_member", "member_months")
    sql = warehouse.compiled()["ref_member_preferences"]
    honest = warehouse.ask(sql)
    caught = [(place, warehouse.ask(mutant) != honest) for place, mutant in mutants(sql, of_macros=True)]
    build = Build(given, warehouse.built())
    after = (AS_OF + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    warehouse.dbt("run", "--select", "path:dbt_project/models/refined", "ms_member", as_of=after)
    return Restated(build, tuple(caught), warehouse.rows("analytics.ms_member"))


@pytest.fixture(scope="module")
def later(warehouse: Warehouse, first: Build, restated: Restated) -> Build:
    """The first build once more, after things have happened that it must not see; `restated` is over by then."""
    assert restated.build.built
    given = first.given.copy()
    add_future(given)
    warehouse.load(given.tables)
    warehouse.dbt("run", "--select", "path:dbt_project/models/refined", "ms_member", "member_months")
    return Build(given, warehouse.built())


def add_oddities(given: StructureRows) -> None:
    """Add what a source may send and no rule may stop the zones for, and a transaction that is not told in full yet."""
    buyer = next(row for row in given.tables["members"] if not row["is_deleted"] and not row["is_test"])
    own = {"member_id": buyer["member_id"], "is_deleted": False}
    buyer["status"] = "ACTIVE"
    given.add("member_tiers", **own, tier_id=8_000_001, tier="diamond", started_on=AS_OF.date(), ends_on=None)
    bonus = {"entry_type": "bonus", "points": Decimal(7), "posted_at": AS_OF, "expires_on": None}
    given.add("member_points", **own, **bonus, entry_id=8_000_002)
    said = {"state": "granted", "captured_at": AS_OF, "expires_at": None}
    given.add("member_consents", **own, **said, consent_id=8_000_003, purpose=None, channel="email")
    given.add("member_consents", **own, **said, consent_id=8_000_004, purpose="marketing", channel=None)
    given.add("member_preferences", **own, channel="email", topic=None, is_enabled=False)
    untold = given.transaction() | {"status": None, "payment_method": None, "currency_code": "EUR"}
    given.add("member_transactions", **own, **untold)


def add_reachable(given: StructureRows) -> None:
    """Make a member reachable by every channel, one of those whose consents `restate` changes afterwards."""
    members = [row for row in given.tables["members"] if row["member_id"] % 16 == 8]
    member = next(row for row in members if not row["is_deleted"] and not row["is_test"])
    member["status"] = "active"
    own = {"member_id": member["member_id"], "is_deleted": False}
    said = {"purpose": "marketing", "channel": "any", "state": "granted", "captured_at": AS_OF, "expires_at": None}
    given.add("member_consents", **own, **said, consent_id=8_000_005)
    given.add("member_emails", **own, email_id=8_000_006, email="canary@example.com", is_verified=True)
    number = {"phone_number": "+43 664 1234567", "phone_type": "mobile", "is_verified": True, "is_reachable": True}
    given.add("member_phones", **own, **number, phone_id=8_000_007)
    given.add("member_addresses", **own, address_id=8_000_008, country_code="DE", postal_code="10115")
    for wish in given.tables["member_preferences"]:
        wish["is_enabled"] |= wish["member_id"] == member["member_id"]


def change(given: StructureRows) -> None:
    """Let happen what a table that is kept up to date must not miss."""
    transactions = given.tables["member_transactions"]
    repriced, moved, deleted, revived = [row for row in transactions if not row["is_deleted"]][:4]
    given.touch(repriced, amount=repriced["amount"] + 100)
    given.touch(moved, occurred_at=moved["occurred_at"].replace(year=2024))
    given.touch(deleted, is_deleted=True)
    given.touch(revived, currency_code="GBP", status="completed")
    late = given.add("member_transactions", member_id=repriced["member_id"], is_deleted=False, **given.transaction())
    # ingested long ago, and yet not there when the first build looked
    late["_ingestion_ts"] = late["_ingestion_ts"].replace(year=2024)
    # an older change, landed as late, tells what the newest one left out: the event that stands is the same
    next(row for row in transactions if row["status"] is None).update(status="completed", payment_method="card")
    buyers = {row["member_id"] for row in transactions if not row["is_deleted"]}
    members = [row for row in given.tables["members"] if row["member_id"] in buyers and not row["is_deleted"]]
    given.touch(next(row for row in members if not row["is_test"]), is_test=True)
    given.touch(next(row for row in members if row["is_test"]), is_test=False)
