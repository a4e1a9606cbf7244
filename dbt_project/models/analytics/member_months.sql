{{ config(pre_hook="{{ refuse_another_instant(ref('ref_member_profiles')) }}") }}

with

members as (

    select
        member_id,
        joined_at
    from {{ ref('ref_member_profiles') }}
    where not is_test
        and coalesce(joined_at <= {{ as_of() }}, true)

),

activity as (

    select
        member_id,
        activity_date,
        actions,
        purchases,
        refunds,
        digital_interactions,
        personal_interactions,
        cases_opened,
        spend_eur,
        discount_eur,
        points_earned,
        points_redeemed,
        points_change
    from {{ ref('ref_member_activity') }}

),

months as (

    select
        member_id,
        date_trunc(activity_date, month) as month,
        count(distinct if(actions > 0, activity_date, null)) as active_days,
        sum(purchases) as purchases,
        sum(refunds) as refunds,
        sum(digital_interactions + personal_interactions) as interactions,
        sum(cases_opened) as cases_opened,
        sum(spend_eur) as spend_eur,
        sum(discount_eur) as discount_eur,
        sum(points_earned) as points_earned,
        sum(points_redeemed) as points_redeemed,
        sum(points_change) as points_change
    from activity
    group by
        member_id,
        date_trunc(activity_date, month)

)

select
    -- ids
    concat(cast(months.member_id as string), '|', format_date('%Y-%m', months.month)) as member_month_key,
    months.member_id,

    -- dates
    months.month,
    date_diff(months.month, date_trunc(date(members.joined_at), month), month) as months_since_joining,
    months.month < date_trunc({{ as_of_date() }}, month) as is_complete,

    -- counts
    months.active_days,
    months.purchases + months.refunds as transactions,
    months.purchases,
    months.refunds,
    months.interactions,
    months.cases_opened,

    -- amounts
    months.spend_eur,
    months.discount_eur,

    -- points
    months.points_earned,
    months.points_redeemed,
    months.points_change
from months
inner join members on months.member_id = members.member_id
