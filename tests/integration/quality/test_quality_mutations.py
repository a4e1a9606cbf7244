"""Every rule of the project holds on clean data and catches its own corruption: none is there that cannot fail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from mutations import SET, Mutation, mutations
from quality_warehouse import ROOT, Rule, Warehouse

from core.contracts import load_contracts

DIMENSIONS = {"completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"}
CONTRACTS = load_contracts(ROOT / "dbt_project/models/raw")
# Every table a reader may build on: 13 of structure, 7 of refined, 4 of analytics.
REFINED = {
    f"ref_member_{name}"
    for name in ("profiles", "contacts", "addresses", "consents", "preferences", "loyalty", "activity")
}
ANALYTICS = {"dim_members", "fct_transactions", "member_months", "ms_member"}

pytestmark = pytest.mark.timeout(300)


def test_clean_data_passes_every_rule(clean: Warehouse) -> None:
    found = clean.violations([(rule, None) for rule in clean.rules])
    assert {rule.name: count for rule, count in zip(clean.rules, found, strict=True) if count} == {}


def test_every_corruption_is_caught_by_its_rule(clean: Warehouse) -> None:
    made = {rule: list(_mutations(clean, rule)) for rule in clean.rules}
    assert [rule.name for rule in made if not made[rule]] == [], "nobody knows how to break them: write a mutation"
    survived = _survived(clean, made)
    assert survived == [], "\n".join(f"{rule.name} does not see {mutation.source}" for rule, mutation in survived)


def test_what_breaks_a_rule_is_named_by_keys_that_can_be_read(clean: Warehouse) -> None:
    each = [(rule, mutation.source) for rule in clean.rules for mutation in _mutations(clean, rule)]
    nulls = (
        (rule, f"select * replace (cast(null as {clean.columns[rule.relation][name]}) as {name}) from {rule.relation}")
        for rule in clean.rules
        if (name := str(rule.arguments.get("key"))) in clean.columns[rule.relation]
    )
    each += [(replace(rule, name=f"{rule.name}, of no key"), source) for rule, source in nulls]
    named = clean.keys_named(each)
    assert [rule.name for (rule, _), count in zip(each, named, strict=True) if count == 0] == []


def test_the_control_rules_that_cannot_fail_are_all_found_out(clean: Warehouse) -> None:
    """One rule of each kind is made blind, by a condition under which nothing violates; every one has to be noticed."""
    blind = {
        rule.kind: replace(rule, sql=f"select * replace (0 as violations) from ({rule.sql})") for rule in clean.rules
    }
    survived = _survived(clean, {rule: list(_mutations(clean, rule)) for rule in blind.values()})
    assert {rule.kind for rule, _ in survived} == set(blind)


def test_no_mutation_is_left_of_a_rule_that_is_gone(clean: Warehouse) -> None:
    assert set(SET) - {rule.name for rule in clean.rules} == set()


def test_there_are_rules_for_every_table(clean: Warehouse) -> None:
    tables = {f"str_{name}" for name in CONTRACTS} | REFINED | ANALYTICS
    assert len(tables) == 13 + 7 + 4
    rules = [rule for rule in clean.rules if rule.model in tables]
    assert len(rules) >= 150
    by_table = {table: [rule for rule in rules if rule.model == table] for table in tables}
    for table, its_rules in by_table.items():
        assert {"uniqueness", "completeness"} <= {_dimension(rule) for rule in its_rules} or table.endswith(
            "preferences"
        )
        assert len(its_rules) >= 4, table


def test_every_rule_says_what_it_is_about(clean: Warehouse) -> None:
    for rule in clean.rules:
        assert _dimension(rule) in DIMENSIONS, rule.name
        assert rule.config.meta["owner"], rule.name
        assert rule.config.meta["weight"] > 0, rule.name
        assert rule.config.severity.lower() in ("error", "warn")
    assert {_dimension(rule) for rule in clean.rules} == DIMENSIONS


def _survived(clean: Warehouse, made: Mapping[Rule, Sequence[Mutation]]) -> list[tuple[Rule, Mutation]]:
    """Return the corruptions of which their rule saw less than it has to."""
    each = [(rule, mutation) for rule, several in made.items() for mutation in several]
    found = clean.violations([(rule, mutation.source) for rule, mutation in each])
    return [asked for asked, count in zip(each, found, strict=True) if count < asked[1].least]


def _mutations(clean: Warehouse, rule: Rule) -> Iterator[Mutation]:
    contract = CONTRACTS.get(rule.arguments.get("table", ""))
    return mutations(rule, clean.columns[rule.relation], contract)


def _dimension(rule: Rule) -> str:
    return str(rule.config.meta["dimension"])
