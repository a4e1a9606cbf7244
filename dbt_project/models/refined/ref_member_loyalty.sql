-- Days ahead, the day of as_of included, for which the points that lapse are told.
{% set horizons = [30, 90] %}

with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

tiers as (

    select
        tier_id,
        member_id,
        tier,
        reason,
        started_on,
        ends_on
    from {{ as_of_rows(ref('str_member_tiers')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)

),

-- an entry moves the balance from the moment it takes effect
entries as (

    select
        entry_id,
        member_id,
        entry_type,
        points,
        posted_at,
        expires_on
    from {{ as_of_rows(ref('str_member_points')) }}
    where not is_deleted
        and posted_at <= {{ as_of() }}

),

tier_rules as (

    select
        tier,
        overdraft_limit
    from {{ ref('loyalty_tiers') }}

),

current_tiers as (

    select
        member_id,
        tier,
        reason,
        started_on,
        ends_on
    from tiers
    where started_on <= {{ as_of_date() }}
        and coalesce(ends_on >= {{ as_of_date() }}, true)
    qualify row_number() over (partition by member_id order by started_on desc, tier_id desc) = 1

),

balances as (

    select
        member_id,
        sum(points) as points_balance,
        sum(if(entry_type = 'earn', points, 0)) as points_earned,
        -sum(if(entry_type = 'redeem', points, 0)) as points_redeemed,
        -sum(if(entry_type = 'expire', points, 0)) as points_expired,
        sum(if(entry_type = 'adjust', points, 0)) as points_adjusted,
        sum(if(coalesce(entry_type not in ('earn', 'redeem', 'expire', 'adjust'), true), points, 0)) as points_of_other_kinds,
        max(posted_at) as last_posted_at
    from entries
    group by member_id

),

-- the balance after every instant; entries of one instant count together
course as (

    select
        member_id,
        sum(points) over (partition by member_id order by posted_at) as balance_then
    from entries

),

lowest as (

    select
        member_id,
        least(0, min(balance_then)) as lowest_points_balance
    from course
    group by member_id

),

-- What lapses, and what is spent before it can: credits count on the last day they hold, debits on their own. What the
-- ledger has booked as lapsed counts from the beginning, for it names no credit and takes those that lapse first.
movements as (

    select
        member_id,
        case
            when points > 0 then expires_on
            when entry_type = 'expire' then date '0001-01-01'
            else date(posted_at)
        end as counts_on,
        points
    from entries

),

-- by every day: the credits that lapse up to then, less the debits up to then
courses as (

    select
        member_id,
        counts_on,
        sum(points) over (partition by member_id order by counts_on) as credits_less_debits
    from movements
    where counts_on is not null

),

-- Credits are used up in the order in which they lapse, and no debit takes one that had lapsed by then: so what lapses by
-- a day without having been used is the most that credits ever were ahead of debits. It is no more than the balance: who
-- could spend what had lapsed has it no more.
lapses as (

    select
        courses.member_id,
        courses.counts_on,
        least(
            greatest(0, balances.points_balance),
            greatest(
                0,
                max(courses.credits_less_debits) over (partition by courses.member_id order by courses.counts_on)
            )
        ) as points_lapsed
    from courses
    inner join balances on courses.member_id = balances.member_id

),

overdue as (

    select
        member_id,
        max(if(counts_on < {{ as_of_date() }}, points_lapsed, 0)) as points_overdue
    from lapses
    group by member_id

),

expiry as (

    select
        lapses.member_id,
        overdue.points_overdue,
        {%- for days in horizons %}
        max(
            if(
                lapses.counts_on <= date_add({{ as_of_date() }}, interval {{ days }} day),
                lapses.points_lapsed,
                0
            )
        ) - overdue.points_overdue as points_expiring_{{ days }}d,
        {%- endfor %}
        min(if(lapses.points_lapsed > overdue.points_overdue, lapses.counts_on, null)) as next_expiry_on
    from lapses
    inner join overdue on lapses.member_id = overdue.member_id
    group by
        lapses.member_id,
        overdue.points_overdue

)

select
    -- ids
    members.member_id,

    -- tier
    coalesce(current_tiers.tier, 'none') as tier,
    current_tiers.reason as tier_reason,
    current_tiers.started_on as tier_started_on,
    current_tiers.ends_on as tier_ends_on,

    -- points
    coalesce(balances.points_balance, 0) as points_balance,
    coalesce(balances.points_earned, 0) as points_earned,
    coalesce(balances.points_redeemed, 0) as points_redeemed,
    coalesce(balances.points_expired, 0) as points_expired,
    coalesce(balances.points_adjusted, 0) as points_adjusted,
    coalesce(balances.points_of_other_kinds, 0) as points_of_other_kinds,
    {%- for days in horizons %}
    coalesce(expiry.points_expiring_{{ days }}d, 0) as points_expiring_{{ days }}d,
    {%- endfor %}
    coalesce(expiry.points_overdue, 0) as points_overdue,

    -- what may be spent: points that should have lapsed are gone, and who owes points has none
    greatest(0, coalesce(balances.points_balance, 0)) - coalesce(expiry.points_overdue, 0) as points_available,

    -- overdraft
    greatest(0, -coalesce(balances.points_balance, 0)) as points_overdrawn,
    coalesce(tier_rules.overdraft_limit, 0) as overdraft_limit,
    case
        when coalesce(balances.points_balance, 0) >= 0 then 'none'
        when -balances.points_balance <= coalesce(tier_rules.overdraft_limit, 0) then 'allowed'
        else 'breach'
    end as overdraft_status,
    coalesce(lowest.lowest_points_balance, 0) as lowest_points_balance,

    -- dates
    expiry.next_expiry_on,
    balances.last_posted_at
from members
left join current_tiers on members.member_id = current_tiers.member_id
left join tier_rules on coalesce(current_tiers.tier, 'none') = tier_rules.tier
left join balances on members.member_id = balances.member_id
left join expiry on members.member_id = expiry.member_id
left join lowest on members.member_id = lowest.member_id
