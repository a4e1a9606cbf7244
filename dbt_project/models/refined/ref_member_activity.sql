with

members as (

    select member_id
    from {{ ref('str_members') }}
    where not is_deleted

),

transactions as (

    select
        member_id,
        transaction_type,
        amount,
        discount_amount,
        currency_code,
        occurred_at
    from {{ ref('str_member_transactions') }}
    where not is_deleted
        and status = 'completed'

),

point_entries as (

    select
        member_id,
        entry_type,
        points,
        transaction_id,
        posted_at
    from {{ ref('str_member_points') }}
    where not is_deleted

),

interactions as (

    select
        member_id,
        interaction_type,
        occurred_at
    from {{ ref('str_member_interactions') }}
    where not is_deleted

),

cases as (

    select
        member_id,
        opened_at
    from {{ ref('str_member_cases') }}
    where not is_deleted

),

currencies as (

    select
        currency_code,
        rate_to_eur
    from {{ ref('currencies') }}

),

-- one narrow shape for all that happens; is_action marks what the member did, not what was done to the account,
-- and points redeemed in a purchase are part of that purchase
events as (

    select
        transactions.member_id,
        transactions.transaction_type as event_type,
        transactions.occurred_at,
        true as is_action,
        round(transactions.amount * currencies.rate_to_eur, 2) as spend_eur,
        round(transactions.discount_amount * currencies.rate_to_eur, 2) as discount_eur,
        cast(null as numeric) as points
    from transactions
    left join currencies on transactions.currency_code = currencies.currency_code

    union all

    select
        member_id,
        entry_type as event_type,
        posted_at as occurred_at,
        entry_type = 'redeem' and transaction_id is null as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        points
    from point_entries

    union all

    select
        member_id,
        interaction_type as event_type,
        occurred_at,
        true as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        cast(null as numeric) as points
    from interactions

    union all

    select
        member_id,
        'case' as event_type,
        opened_at as occurred_at,
        true as is_action,
        cast(null as numeric) as spend_eur,
        cast(null as numeric) as discount_eur,
        cast(null as numeric) as points
    from cases

),

past_events as (

    select
        events.member_id,
        events.event_type,
        events.occurred_at,
        events.is_action,
        events.spend_eur,
        events.discount_eur,
        events.points
    from events
    inner join members on events.member_id = members.member_id
    where events.occurred_at <= {{ as_of() }}

),

days as (

    select
        member_id,
        date(occurred_at) as activity_date,
        countif(is_action) as actions,
        countif(event_type = 'purchase') as purchases,
        countif(event_type = 'refund') as refunds,
        countif(event_type in ('email_open', 'email_click', 'login', 'app_open')) as digital_interactions,
        countif(event_type in ('store_visit', 'call')) as personal_interactions,
        countif(event_type = 'case') as cases_opened,
        sum(spend_eur) as spend_eur,
        sum(discount_eur) as discount_eur,
        sum(if(event_type = 'earn', points, 0)) as points_earned,
        -sum(if(event_type = 'redeem', points, 0)) as points_redeemed,
        sum(points) as points_change,
        min(if(is_action, occurred_at, null)) as first_action_at,
        max(if(is_action, occurred_at, null)) as last_action_at
    from past_events
    group by
        member_id,
        date(occurred_at)

)

select
    -- ids
    concat(cast(member_id as string), '|', cast(activity_date as string)) as member_day_key,
    member_id,

    -- dates
    activity_date,

    -- counts
    actions,
    purchases,
    refunds,
    digital_interactions,
    personal_interactions,
    cases_opened,

    -- amounts
    coalesce(spend_eur, 0) as spend_eur,
    coalesce(discount_eur, 0) as discount_eur,
    coalesce(points_earned, 0) as points_earned,
    coalesce(points_redeemed, 0) as points_redeemed,
    coalesce(points_change, 0) as points_change,

    -- timestamps
    first_action_at,
    last_action_at
from days
