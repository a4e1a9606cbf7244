with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

transactions as (

    select
        transaction_id,
        member_id,
        transaction_type,
        amount,
        discount_amount,
        currency_code,
        occurred_at,
        _ingestion_ts
    from {{ as_of_rows(ref('str_member_transactions')) }}
    where not is_deleted
        and status = 'completed'

),

point_entries as (

    select
        entry_id,
        member_id,
        entry_type,
        points,
        transaction_id,
        posted_at,
        _ingestion_ts
    from {{ as_of_rows(ref('str_member_points')) }}
    where not is_deleted

),

interactions as (

    select
        interaction_id,
        member_id,
        interaction_type,
        occurred_at,
        _ingestion_ts
    from {{ as_of_rows(ref('str_member_interactions')) }}
    where not is_deleted

),

cases as (

    select
        case_id,
        member_id,
        opened_at,
        _ingestion_ts
    from {{ as_of_rows(ref('str_member_cases')) }}
    where not is_deleted

),

fx_rates as (

    select
        currency_code,
        rate_date,
        holds_until,
        rate_to_eur
    from {{ ref('ref_fx_rates') }}

),

-- one narrow shape for all that happens; is_action marks what the member did, not what was done to the account,
-- and points redeemed in a purchase are part of that purchase
events as (

    select
        concat('transaction|', cast(transactions.transaction_id as string)) as member_event_key,
        transactions.member_id,
        transactions.transaction_type as event_type,
        transactions.occurred_at,
        transactions._ingestion_ts,
        true as is_action,
        round(transactions.amount * fx_rates.rate_to_eur, 2) as spend_eur,
        round(transactions.discount_amount * fx_rates.rate_to_eur, 2) as discount_eur,
        cast(null as numeric) as points
    from transactions
    left join fx_rates
        on transactions.currency_code = fx_rates.currency_code
        and date(transactions.occurred_at) between fx_rates.rate_date and fx_rates.holds_until

    union all

    select
        concat('points|', cast(entry_id as string)) as member_event_key,
        member_id,
        entry_type as event_type,
        posted_at as occurred_at,
        _ingestion_ts,
        entry_type = 'redeem' and transaction_id is null as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        points
    from point_entries

    union all

    select
        concat('interaction|', cast(interaction_id as string)) as member_event_key,
        member_id,
        interaction_type as event_type,
        occurred_at,
        _ingestion_ts,
        true as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        cast(null as numeric) as points
    from interactions

    union all

    select
        concat('case|', cast(case_id as string)) as member_event_key,
        member_id,
        'case' as event_type,
        opened_at as occurred_at,
        _ingestion_ts,
        true as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        cast(null as numeric) as points
    from cases

),

past_events as (

    select
        events.member_event_key,
        events.member_id,
        events.event_type,
        events.is_action,
        events.spend_eur,
        events.discount_eur,
        events.points,
        events.occurred_at,
        events._ingestion_ts
    from events
    inner join members on events.member_id = members.member_id
    where events.occurred_at <= {{ as_of() }}

)

select
    -- ids
    member_event_key,
    member_id,

    -- kind
    event_type,
    is_action,

    -- amounts
    spend_eur,
    discount_eur,
    points,

    -- timestamps
    occurred_at,
    timestamp_sub(
        timestamp_trunc(occurred_at, minute), interval mod(extract(minute from occurred_at), 5) minute
    ) as window_start,
    _ingestion_ts
from past_events
