"""How to break each rule: a query that stands in for the tested table, with the least corruption that breaks it.

Most follow from the kind of the rule and its arguments. What an expression promises has to be broken by hand: those
stand in `SET` by the name of the rule, as the columns of one row to spoil.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from quality_warehouse import Rule

from core.contracts import TableContract

LONG_AGO: Final = "timestamp '2001-01-01 00:00:00+00'"

SET: Final[Mapping[str, Mapping[str, str]]] = {
    **{
        f"str_{table}_deletion_is_told_by_op": {"_op": "'DELETE'"}
        for table in (
            "members", "member_addresses", "member_cases", "member_consents", "member_emails", "member_identities",
            "member_interactions", "member_phones", "member_points", "member_preferences", "member_profiles",
            "member_tiers", "member_transactions",
        )
    },
    "str_members_closing_agrees_with_status": {"status": "'closed'", "closed_at": "cast(null as timestamp)"},
    "str_member_cases_closed_after_opened": {"closed_at": LONG_AGO},
    "str_member_consents_expires_after_capture": {"expires_at": LONG_AGO},
    "str_member_points_sign_agrees_with_entry_type": {"entry_type": "'earn'", "points": "cast(-1 as numeric)"},
    "str_member_tiers_ends_after_start": {"ends_on": "date '2001-01-01'"},
    "str_member_transactions_sign_agrees_with_type": {"transaction_type": "'refund'", "amount": "cast(1 as numeric)"},
    "ref_member_profiles_birth_date_range": {"birth_date": "date '1899-12-31'"},
    "ref_member_profiles_attributes_have_provenance": {"last_name": "'A'", "last_name_source": "cast(null as string)"},
    "ref_member_contacts_reachable_needs_an_address": {"is_email_reachable": "not is_email_reachable"},
    "ref_member_addresses_place_agrees_with_level": {"geocode_level": "'none'", "latitude": "1.0"},
    "ref_member_consents_granted_agrees_with_state": {"is_granted": "true", "state": "'withdrawn'"},
    "ref_member_consents_granted_has_not_lapsed": {"expires_at": LONG_AGO},
    "ref_member_consent_periods_no_grant_outlives_its_expiry": {"is_granted": "true", "expires_at": LONG_AGO},
    "ref_member_preferences_allowed_agrees_with_decision": {
        "is_enabled": "false", "is_allowed": "true", "decision": "'allowed'",
    },
    "ref_member_loyalty_balance_adds_up": {"points_balance": "points_balance + 1"},
    "ref_member_loyalty_credits_fit_the_balance": {"points_overdue": "greatest(points_balance, 0) + 1"},
    "ref_member_loyalty_horizons_hold_each_other": {"points_expiring_30d": "points_expiring_90d + 1"},
    "ref_member_loyalty_overdraft_is_judged_by_the_limit": {"overdraft_status": "'breach'", "points_balance": "1"},
    "ref_member_loyalty_balance_is_not_negative_unless_allowed": {"overdraft_status": "'breach'"},
    "ref_member_addresses_geohash_is_as_long_as_it_is_sure": {"geocode_level": "'country'", "geohash": "'u33db'"},
    "ref_fx_rates_hold_for_a_day_at_least": {"holds_until": "date_sub(rate_date, interval 1 day)"},
    "ref_fx_rates_currency_code_known": {"currency_code": "'no such value'"},
    "ref_fx_rates_rate_to_eur_range": {"rate_to_eur": "cast(11 as numeric)"},
    "ref_member_events_lie_in_their_window": {"occurred_at": "timestamp_add(window_start, interval 300 second)"},
    "ref_member_events_happened_by_as_of": {"occurred_at": "timestamp '2100-01-01 00:00:00+00'"},
    "ref_member_activity_actions_are_within_the_window": {"first_action_at": LONG_AGO},
    "ref_member_activity_panes_add_up": {"late_events": "late_events + 1"},
    "ref_member_sessions_end_after_they_start": {"ended_at": LONG_AGO},
    "ref_member_behaviour_longer_periods_hold_shorter_ones": {"actions_7d": "actions_30d + 1"},
    "ref_member_behaviour_active_days_fit_the_period": {"active_days_7d": "8"},
    "ref_member_behaviour_trends_lie_between_all_gone_and_all_new": {"spend_trend_30d": "1.5"},
    "ref_member_behaviour_nothing_lies_ahead": {"last_action_on": "date '2100-01-01'"},
    "ref_member_activity_counts_fit_the_actions": {"actions": "0", "purchases": "1"},
    "fct_transactions_euros_agree_with_the_rate": {"amount_eur": "amount_eur + 1"},
    "fct_transactions_day_agrees_with_the_instant": {"occurred_on": "date_add(occurred_on, interval 1 day)"},
    "fct_transactions_counted_agrees_with_status": {"is_counted": "not is_counted"},
    "fct_transactions_rate_is_of_the_day_or_before": {"rate_date": "date_add(occurred_on, interval 1 day)"},
    "fct_transactions_rate_is_not_outdated": {
        "currency_code": "'CHF'", "rate_date": "date_sub(occurred_on, interval 367 day)",
    },
    "member_months_month_is_a_first_day": {"month": "date_add(month, interval 1 day)"},
    "member_months_parts_of_transactions_add_up": {"transactions": "transactions + 1"},
    "member_months_active_days_fit_the_month": {"active_days": "32"},
    "ms_member_stage_agrees_with_segment": {"lifecycle_stage": "'closed'", "segment": "'loyal'"},
    "ms_member_next_purchase_follows_from_the_rhythm": {"purchase_days": "1", "churn_risk": "0.5"},
    "ms_member_longer_periods_hold_shorter_ones": {"purchases_7d": "purchases_90d + 1"},
    "ms_member_nothing_lies_ahead": {"last_action_on": "date_add(date(as_of), interval 1 day)"},
    "ms_member_rfm_scores_are_quintiles": {"recency_score": "6"},
    "ms_member_rfm_scores_exist_together": {"recency_score": "0", "frequency_score": "1"},
    "ms_member_channels_add_up": {"contactable_channels": "contactable_channels + 1"},
}  # fmt: skip
"""The columns to spoil, by rule: each as a SQL expression over the row."""


_SOME: Final = {"STRING": "'some'", "INTEGER": "-1", "INT64": "-1", "TIMESTAMP": LONG_AGO, "DATE": "date '2001-01-01'"}

# What says that a version holds now, where a table has versions.
_CURRENT: Final = {"is_current": "true", "dbt_valid_to": "timestamp '9999-12-31 00:00:00+00'"}


@dataclass(frozen=True)
class Mutation:
    """A corruption.

    Attributes:
        source: what to read instead of the tested table.
        least: how many rows the rule has to see as violating, at least.
    """

    source: str
    least: int = 1


def mutations(rule: Rule, columns: Mapping[str, str], contract: TableContract | None) -> Iterator["Mutation"]:
    """Return the corruptions of a rule's table, each as a query; none when nobody has thought of one.

    Args:
        rule: the rule.
        columns: GoogleSQL type by column of the tested table.
        contract: what the source promises of the table, for rules that hold it.
    """
    if rule.name in SET:
        yield Mutation(_spoilt(rule, SET[rule.name]))
    elif rule.kind == "contract_holds":
        assert contract is not None
        promises = list(_broken_promises(contract))
        yield Mutation(_all_spoilt(rule, promises), len(promises))
    elif rule.kind == "is_empty":
        yield Mutation(_with_row(rule, columns, {"_ingestion_ts": "current_timestamp()"}))
    elif rule.name.startswith("raw_"):
        # a row of nothing but an instant, since the table is empty, and its rules look at what has landed lately
        yield Mutation(_with_row(rule, columns, {"_ingestion_ts": "current_timestamp()"}))
    elif rule.kind == "unique_combination":
        current = {name: value for name, value in _CURRENT.items() if name in columns}
        named = {name: _SOME[columns[name]] for name in rule.arguments["columns"]}
        yield Mutation(_with_row(rule, columns, current))
        yield Mutation(_with_row(rule, columns, current | named, copies=2), 2)
    elif rule.kind in _BY_KIND:
        yield Mutation(_BY_KIND[rule.kind](rule))
        if rule.kind == "is_fresh":
            yield Mutation(_emptied(rule))
            yield Mutation(f"{_aged(rule)} union all {_ahead(rule)}")
        if rule.kind == "has_no_overlap":
            yield Mutation(_spoilt(rule, {rule.arguments["to"]: "cast(null as timestamp)"}))
        if rule.kind == "in_range" and columns[_column(rule)] in ("FLOAT", "FLOAT64") and "max" in rule.arguments:
            yield Mutation(_spoilt(rule, {_column(rule): "cast('nan' as float64)"}))


def _column(rule: Rule) -> str:
    return str(rule.arguments["column_name"])


def _spoilt(rule: Rule, values: Mapping[str, str]) -> str:
    """One row more, spoilt; of a rule that tolerates a share, all rows are."""
    where = f" where {rule.config.where}" if rule.config.where else ""
    replaced = ", ".join(f"{value} as {column}" for column, value in values.items())
    if rule.arguments.get("max_share"):
        return f"select * replace ({replaced}) from {rule.relation}{where}"
    one = f"(select * from {rule.relation}{where} limit 1)"
    return f"select * from {rule.relation} union all select * replace ({replaced}) from {one}"


def _all_spoilt(rule: Rule, values: Iterable[tuple[str, str]]) -> str:
    """For each of the values one row more, spoilt by it alone."""
    rows = (
        f"(select * replace ({value} as {column}) from {rule.relation} where not is_deleted limit 1)"
        for column, value in values
    )
    return " union all ".join((f"select * from {rule.relation}", *rows))


def _with_row(rule: Rule, columns: Mapping[str, str], values: Mapping[str, str], copies: int = 1) -> str:
    """One row more, or several, in which nothing stands but the given values."""
    cells = [values.get(name, f"cast(null as {kind})") + f" as {name}" for name, kind in columns.items()]
    row = f"select {', '.join(cells)}"
    return " union all ".join((f"select * from {rule.relation}", *[row] * copies))


def _doubled(rule: Rule) -> str:
    """One row twice."""
    where = f" where {rule.config.where}" if rule.config.where else ""
    return f"select * from {rule.relation} union all (select * from {rule.relation}{where} limit 1)"


def _emptied(rule: Rule) -> str:
    return f"select * from {rule.relation} where false"


def _aged(rule: Rule) -> str:
    return f"select * replace ({LONG_AGO} as {_column(rule)}) from {rule.relation}"


def _ahead(rule: Rule) -> str:
    """One row of a clock that runs ahead by years."""
    ahead = f"timestamp '2100-01-01 00:00:00+00' as {_column(rule)}"
    return f"(select * replace ({ahead}) from {rule.relation} limit 1)"


def _out_of_range(rule: Rule) -> str:
    least, greatest = rule.arguments.get("min"), rule.arguments.get("max")
    value = f"{least} - 1" if isinstance(least, int) else f"{greatest} + 1"
    return _spoilt(rule, {_column(rule): value})


def _shifted(rule: Rule) -> str:
    """Every row ten times lately and ten times before, of another value each."""
    at, column = rule.arguments["at"], _column(rule)
    return (
        f"select * except (copy) replace (if(copy < 10, 'store_visit', 'login') as {column},"
        f" if(copy < 10, _ingestion_ts, {LONG_AGO}) as {at})"
        f" from {rule.relation} cross join unnest(generate_array(0, 19)) as copy"
    )


def _late(rule: Rule) -> str:
    """Every row told a minute later than is tolerated, just now."""
    begin = f"timestamp_sub(current_timestamp(), interval {rule.arguments['max_minutes'] + 1} minute)"
    return (
        f"select * replace ('UPDATE' as _op, {begin} as {rule.arguments['from']},"
        f" current_timestamp() as {rule.arguments['to']}) from {rule.relation}"
    )


def _broken_promises(contract: TableContract) -> Iterator[tuple[str, str]]:
    yield "_carried", '\'{"status":""}\''
    for column in contract.columns:
        if not (column.is_nullable or column.is_key or column.data_type.startswith("array")):
            yield column.name, f"nullif({column.name}, {column.name})"
        if column.allowed_values:
            yield column.name, "'no such value'"


_BY_KIND: Final[Mapping[str, Callable[[Rule], str]]] = {
    "has_value": lambda rule: _spoilt(rule, {_column(rule): f"nullif({_column(rule)}, {_column(rule)})"}),
    "has_text": lambda rule: _spoilt(rule, {_column(rule): "' '"}),
    "in_range": _out_of_range,
    "one_of": lambda rule: _spoilt(rule, {_column(rule): "'no such value'"}),
    "matches_pattern": lambda rule: _spoilt(rule, {_column(rule): "'?'"}),
    "has_format": lambda rule: _spoilt(rule, {_column(rule): "'?'"}),
    "has_length": lambda rule: _spoilt(rule, {_column(rule): "'?'"}),
    "casts_to": lambda rule: _spoilt(rule, {_column(rule): "'?'"}),
    "refers_to": lambda rule: _spoilt(rule, {_column(rule): "-1"}),
    "is_unique": _doubled,
    "row_count_matches": _doubled,
    "has_rows": _emptied,
    "row_count_steady": _emptied,
    "is_fresh": _aged,
    "lags_at_most": _late,
    "distribution_steady": _shifted,
    "aggregate_in_range": lambda rule: f"select * replace (cast(-1 as numeric) as points_balance) from {rule.relation}",
    "balances_with": lambda rule: _spoilt(rule, {rule.arguments["measure"]: f"{rule.arguments['measure']} + 1"}),
    "has_no_overlap": lambda rule: _spoilt(rule, {rule.arguments["to"]: rule.arguments["from"]}),
}
