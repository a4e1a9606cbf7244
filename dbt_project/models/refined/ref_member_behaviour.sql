-- Lengths of the periods that end with the day of as_of, in days; each is compared with the one before it.
{% set periods = [7, 30, 90, 365] %}

with

activity as (

    select
        member_id,
        activity_date,
        actions,
        purchases,
        digital_interactions,
        personal_interactions,
        cases_opened,
        spend_eur,
        discount_eur,
        purchase_eur
    from {{ ref('ref_member_activity') }}

),

sessions as (

    select
        member_id,
        date_diff({{ as_of_date() }}, date(started_at), day) as days_ago
    from {{ ref('ref_member_sessions') }}

),

days as (

    select
        member_id,
        activity_date,
        date_diff({{ as_of_date() }}, activity_date, day) as days_ago,
        sum(actions) as actions,
        sum(purchases) as purchases,
        sum(digital_interactions + personal_interactions) as interactions,
        sum(cases_opened) as cases_opened,
        sum(spend_eur) as spend_eur,
        sum(discount_eur) as discount_eur,
        sum(purchase_eur) as purchase_eur
    from activity
    group by
        member_id,
        activity_date

),

totals as (

    select
        member_id,
        min(if(actions > 0, activity_date, null)) as first_action_on,
        max(if(actions > 0, activity_date, null)) as last_action_on,
        sum(purchases) as purchases,
        sum(spend_eur) as spend_eur,
        {%- for days in periods %}
        sum(if(days_ago < {{ days }}, actions, 0)) as actions_{{ days }}d,
        countif(actions > 0 and days_ago < {{ days }}) as active_days_{{ days }}d,
        sum(if(days_ago < {{ days }}, purchases, 0)) as purchases_{{ days }}d,
        sum(if(days_ago < {{ days }}, spend_eur, 0)) as spend_eur_{{ days }}d,
        sum(if(days_ago >= {{ days }} and days_ago < {{ 2 * days }}, actions, 0)) as previous_actions_{{ days }}d,
        sum(if(days_ago >= {{ days }} and days_ago < {{ 2 * days }}, spend_eur, 0)) as previous_spend_eur_{{ days }}d,
        {%- endfor %}
        sum(if(days_ago < 90, interactions, 0)) as interactions_90d,
        sum(if(days_ago < 90, cases_opened, 0)) as cases_90d,
        sum(if(days_ago < 365, cases_opened, 0)) as cases_365d,
        sum(if(days_ago < 365, discount_eur, 0)) as discount_eur_365d,
        sum(if(days_ago < 365, purchase_eur, 0)) as purchase_eur_365d
    from days
    group by member_id

),

-- how a period compares with the one before it: -1 all is gone, 0 as before, 1 all is new
trends as (

    select
        member_id,
        {%- for days in periods %}
        coalesce(round(safe_divide(
            actions_{{ days }}d - previous_actions_{{ days }}d, actions_{{ days }}d + previous_actions_{{ days }}d
        ), 4), 0) as actions_trend_{{ days }}d,
        coalesce(round(cast(safe_divide(
            greatest(spend_eur_{{ days }}d, 0) - greatest(previous_spend_eur_{{ days }}d, 0),
            greatest(spend_eur_{{ days }}d, 0) + greatest(previous_spend_eur_{{ days }}d, 0)
        ) as float64), 4), 0) as spend_trend_{{ days }}d{{ ',' if not loop.last }}
        {%- endfor %}
    from totals

),

purchase_days as (

    select
        member_id,
        activity_date,
        date_diff(
            activity_date, lag(activity_date) over (partition by member_id order by activity_date), day
        ) as interval_days,
        row_number() over (partition by member_id order by activity_date desc) as place_from_last
    from days
    where purchases > 0

),

rhythms as (

    select
        member_id,
        count(*) as purchase_days,
        min(activity_date) as first_purchase_on,
        max(activity_date) as last_purchase_on,
        max(if(place_from_last = 1, interval_days, null)) as last_purchase_interval_days,
        round(avg(interval_days), 4) as mean_purchase_interval_days,
        round(stddev_samp(interval_days), 4) as stddev_purchase_interval_days
    from purchase_days
    group by member_id

),

session_counts as (

    select
        member_id,
        countif(days_ago < 90) as sessions_90d
    from sessions
    group by member_id

)

select
    -- ids
    totals.member_id,

    -- recency
    totals.first_action_on,
    totals.last_action_on,
    rhythms.first_purchase_on,
    rhythms.last_purchase_on,

    -- frequency
    totals.purchases,
    coalesce(rhythms.purchase_days, 0) as purchase_days,
    rhythms.last_purchase_interval_days,
    rhythms.mean_purchase_interval_days,
    rhythms.stddev_purchase_interval_days,

    -- monetary
    totals.spend_eur,
    totals.discount_eur_365d,
    totals.purchase_eur_365d,

    -- periods
    {%- for days in periods %}
    totals.actions_{{ days }}d,
    totals.active_days_{{ days }}d,
    totals.purchases_{{ days }}d,
    totals.spend_eur_{{ days }}d,
    trends.actions_trend_{{ days }}d,
    trends.spend_trend_{{ days }}d,
    {%- endfor %}
    totals.interactions_90d,
    totals.cases_90d,
    totals.cases_365d,
    coalesce(session_counts.sessions_90d, 0) as sessions_90d
from totals
inner join trends on totals.member_id = trends.member_id
left join rhythms on totals.member_id = rhythms.member_id
left join session_counts on totals.member_id = session_counts.member_id
