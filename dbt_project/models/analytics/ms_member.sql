{{ config(pre_hook="{{ refuse_another_instant(ref('ref_member_profiles')) }}") }}

-- Points each part adds to the engagement score at its best; they add up to 100.
{% set weights = {'recency': 30, 'frequency': 25, 'monetary': 20, 'interactions': 15, 'contactability': 10} %}
-- Lengths of the periods that end with the day of as_of, in days.
{% set periods = [7, 30, 90, 365] %}
{% set measures = ['actions', 'purchases', 'spend_eur', 'actions_trend', 'spend_trend'] %}

with

profiles as (

    select
        member_id,
        status,
        birth_date,
        gender,
        country_code,
        language_code,
        home_store_id,
        referrer_member_id,
        household_size,
        income_band,
        joined_at,
        coalesce(status = 'closed' and coalesce(closed_at <= {{ as_of() }}, true), false) as is_closed
    from {{ ref('ref_member_profiles') }}
    where not is_test
        and coalesce(joined_at <= {{ as_of() }}, true)

),

contacts as (

    select
        member_id,
        is_email_reachable,
        is_mobile_reachable
    from {{ ref('ref_member_contacts') }}

),

addresses as (

    select member_id
    from {{ ref('ref_member_addresses') }}
    where is_best

),

consents as (

    select
        member_id,
        purpose,
        channel,
        state,
        is_granted
    from {{ ref('ref_member_consents') }}

),

preferences as (

    select
        member_id,
        channel,
        is_enabled
    from {{ ref('ref_member_preferences') }}

),

loyalty as (

    select
        member_id,
        tier,
        points_balance,
        points_earned,
        points_available,
        points_expiring_90d
    from {{ ref('ref_member_loyalty') }}

),

behaviour as (

    select
        member_id,
        first_purchase_on,
        last_action_on,
        last_purchase_on,
        purchase_days,
        last_purchase_interval_days,
        mean_purchase_interval_days,
        stddev_purchase_interval_days,
        {%- for days in periods %}{% for measure in measures %}
        {{ measure }}_{{ days }}d,
        {%- endfor %}{% endfor %}
        active_days_90d,
        interactions_90d,
        sessions_90d,
        cases_90d,
        cases_365d,
        discount_eur_365d,
        purchase_eur_365d,
        spend_eur
    from {{ ref('ref_member_behaviour') }}

),

-- a member is profiled as a whole: who withdrew that on one channel is not, nor whose word on one is not understood
permissions as (

    select
        member_id,
        logical_or(is_granted and purpose = 'marketing' and channel = 'email') as allows_email,
        logical_or(is_granted and purpose = 'marketing' and channel = 'sms') as allows_sms,
        logical_or(is_granted and purpose = 'marketing' and channel = 'push') as allows_push,
        logical_or(is_granted and purpose = 'marketing' and channel = 'post') as allows_post,
        logical_or(is_granted and purpose = 'profiling')
        and not logical_or(purpose = 'profiling' and coalesce(state not in ('granted', 'expired'), true)) as allows_profiling
    from consents
    group by member_id

),

-- a channel is muted when the member switched off every topic they decided on
mutes as (

    select
        member_id,
        logical_or(channel = 'email') as mutes_email,
        logical_or(channel = 'sms') as mutes_sms,
        logical_or(channel = 'push') as mutes_push,
        logical_or(channel = 'post') as mutes_post
    from (
        select
            member_id,
            channel
        from preferences
        group by
            member_id,
            channel
        having not logical_or(is_enabled)
    ) as muted_channels
    group by member_id

),

-- reachable, permitted and not muted; a closed membership is left in peace
contactability as (

    select
        profiles.member_id,
        not profiles.is_closed
        and coalesce(contacts.is_email_reachable and permissions.allows_email, false)
        and not coalesce(mutes.mutes_email, false) as can_email,
        not profiles.is_closed
        and coalesce(contacts.is_mobile_reachable and permissions.allows_sms, false)
        and not coalesce(mutes.mutes_sms, false) as can_sms,
        not profiles.is_closed
        and coalesce(permissions.allows_push, false)
        and not coalesce(mutes.mutes_push, false) as can_push,
        not profiles.is_closed
        and coalesce(addresses.member_id is not null and permissions.allows_post, false)
        and not coalesce(mutes.mutes_post, false) as can_post,
        coalesce(permissions.allows_profiling, false) as is_profiling_allowed
    from profiles
    left join contacts on profiles.member_id = contacts.member_id
    left join addresses on profiles.member_id = addresses.member_id
    left join permissions on profiles.member_id = permissions.member_id
    left join mutes on profiles.member_id = mutes.member_id

),

-- quintiles among those who bought within the year. Integer arithmetic on ranks, so that equals score equally and
-- no rounding decides.
rfm as (

    select
        behaviour.member_id,
        1 + div(5 * (rank() over (order by behaviour.last_purchase_on) - 1), count(*) over ()) as recency_score,
        1 + div(5 * (rank() over (order by behaviour.purchases_365d) - 1), count(*) over ()) as frequency_score,
        1 + div(5 * (rank() over (order by behaviour.spend_eur_365d) - 1), count(*) over ()) as monetary_score
    from behaviour
    inner join profiles on behaviour.member_id = profiles.member_id
    where behaviour.purchases_365d > 0

),

features as (

    select
        profiles.member_id,
        profiles.status,
        profiles.is_closed,
        profiles.gender,
        profiles.country_code,
        profiles.language_code,
        profiles.home_store_id,
        profiles.referrer_member_id is not null as is_referred,
        profiles.household_size,
        profiles.income_band,
        extract(year from {{ as_of_date() }}) - extract(year from profiles.birth_date)
        - if(format_date('%m%d', {{ as_of_date() }}) < format_date('%m%d', profiles.birth_date), 1, 0) as age,
        date_diff({{ as_of_date() }}, date(profiles.joined_at), day) as tenure_days,
        contactability.can_email,
        contactability.can_sms,
        contactability.can_push,
        contactability.can_post,
        if(contactability.can_email, 1, 0) + if(contactability.can_sms, 1, 0)
        + if(contactability.can_push, 1, 0) + if(contactability.can_post, 1, 0) as contactable_channels,
        contactability.is_profiling_allowed,
        loyalty.tier,
        loyalty.points_balance,
        loyalty.points_earned,
        loyalty.points_available,
        loyalty.points_expiring_90d,
        behaviour.first_purchase_on,
        behaviour.last_action_on,
        behaviour.last_purchase_on,
        date_diff({{ as_of_date() }}, behaviour.last_action_on, day) as days_since_action,
        date_diff({{ as_of_date() }}, behaviour.first_purchase_on, day) as days_since_first_purchase,
        date_diff({{ as_of_date() }}, behaviour.last_purchase_on, day) as days_since_purchase,
        {%- for days in periods %}{% for measure in measures %}
        coalesce(behaviour.{{ measure }}_{{ days }}d, 0) as {{ measure }}_{{ days }}d,
        {%- endfor %}{% endfor %}
        coalesce(behaviour.active_days_90d, 0) as active_days_90d,
        coalesce(behaviour.interactions_90d, 0) as interactions_90d,
        coalesce(behaviour.sessions_90d, 0) as sessions_90d,
        coalesce(behaviour.cases_90d, 0) as cases_90d,
        coalesce(behaviour.cases_365d, 0) as cases_365d,
        coalesce(behaviour.discount_eur_365d, 0) as discount_eur_365d,
        round(safe_divide(behaviour.purchase_eur_365d, behaviour.purchases_365d), 2) as average_basket_eur_365d,
        coalesce(behaviour.spend_eur, 0) as spend_eur,
        coalesce(behaviour.purchase_days, 0) as purchase_days,
        behaviour.last_purchase_interval_days,
        behaviour.mean_purchase_interval_days,
        behaviour.stddev_purchase_interval_days,
        coalesce(rfm.recency_score, 0) as recency_score,
        coalesce(rfm.frequency_score, 0) as frequency_score,
        coalesce(rfm.monetary_score, 0) as monetary_score
    from profiles
    inner join contactability on profiles.member_id = contactability.member_id
    inner join loyalty on profiles.member_id = loyalty.member_id
    left join behaviour on profiles.member_id = behaviour.member_id
    left join rfm on profiles.member_id = rfm.member_id

),

-- Who buys at random at a steady pace (a Poisson process) lets pass t days without a purchase with the probability
-- exp(-t / mean interval). The longer that is, the less likely they still are who they were.
rhythms as (

    select
        member_id,
        round(1 - exp(-days_since_purchase / mean_purchase_interval_days), 4) as churn_risk,
        round(1 - exp(-30 / mean_purchase_interval_days), 4) as purchase_probability_30d,
        date_add(last_purchase_on, interval cast(round(mean_purchase_interval_days) as int64) day)
            as expected_next_purchase_on
    from features
    where not is_closed

),

-- each part runs from 0 to 1: recency falls to 0 in 180 days; 12 active days and 20 interactions in 90 days are full
engagement as (

    select
        member_id,
        coalesce(greatest(0, 180 - days_since_action), 0) / 180 as recency_part,
        least(active_days_90d, 12) / 12 as frequency_part,
        monetary_score / 5 as monetary_part,
        least(interactions_90d, 20) / 20 as interactions_part,
        contactable_channels / 4 as contactability_part
    from features

)

select
    -- ids
    features.member_id,
    features.home_store_id,

    -- profile
    features.status,
    features.gender,
    features.country_code,
    features.language_code,
    case
        when features.age is null then 'unknown'
        when features.age < 18 then 'under_18'
        when features.age < 25 then '18_24'
        when features.age < 35 then '25_34'
        when features.age < 45 then '35_44'
        when features.age < 55 then '45_54'
        when features.age < 65 then '55_64'
        else '65_plus'
    end as age_band,
    features.household_size,
    coalesce(features.income_band, 'unknown') as income_band,
    features.tenure_days,
    features.is_referred,

    -- contactability
    features.can_email,
    features.can_sms,
    features.can_push,
    features.can_post,
    features.contactable_channels,
    features.is_profiling_allowed,

    -- loyalty
    features.tier,
    features.points_balance,
    features.points_earned,
    features.points_available,
    features.points_expiring_90d,

    -- behaviour
    features.last_action_on,
    features.last_purchase_on,
    features.days_since_action,
    features.days_since_purchase,
    features.active_days_90d,
    features.interactions_90d,
    features.sessions_90d,
    features.cases_90d,
    features.cases_365d,
    features.spend_eur,
    features.discount_eur_365d,
    features.average_basket_eur_365d,

    -- periods and their trends
    {%- for days in periods %}{% for measure in measures %}
    features.{{ measure }}_{{ days }}d,
    {%- endfor %}{% endfor %}

    -- rhythm of purchases
    features.purchase_days,
    features.mean_purchase_interval_days,
    features.stddev_purchase_interval_days,
    rhythms.expected_next_purchase_on,
    date_diff(rhythms.expected_next_purchase_on, {{ as_of_date() }}, day) as days_to_next_purchase,
    rhythms.purchase_probability_30d,
    rhythms.churn_risk,
    case
        when rhythms.churn_risk is null then 'unknown'
        when rhythms.churn_risk < 0.5 then 'low'
        when rhythms.churn_risk < 0.8 then 'medium'
        else 'high'
    end as churn_risk_band,

    -- scores
    features.recency_score,
    features.frequency_score,
    features.monetary_score,
    cast(
        round(
            {{ weights.recency }} * engagement.recency_part
            + {{ weights.frequency }} * engagement.frequency_part
            + {{ weights.monetary }} * engagement.monetary_part
            + {{ weights.interactions }} * engagement.interactions_part
            + {{ weights.contactability }} * engagement.contactability_part
        ) as int64
    ) as engagement_score,

    -- stage of life: the first that fits
    case
        when features.is_closed then 'closed'
        when features.last_purchase_on is null then 'prospect'
        when features.days_since_first_purchase < 90 then 'new'
        when features.days_since_purchase < 90 and features.last_purchase_interval_days >= 365 then 'reactivated'
        when features.days_since_purchase < 90 then 'active'
        when features.days_since_purchase < 180 then 'at_risk'
        when features.days_since_purchase < 365 then 'dormant'
        else 'churned'
    end as lifecycle_stage,

    -- segment: the first that fits
    case
        when features.is_closed then 'closed'
        when features.last_purchase_on is null then 'prospect'
        when features.purchases_365d = 0 then 'lapsed'
        when features.recency_score >= 4 and features.frequency_score >= 4 and features.monetary_score >= 4
            then 'champion'
        when features.recency_score >= 3 and features.frequency_score >= 3 then 'loyal'
        when features.recency_score >= 4 then 'promising'
        when features.recency_score <= 2 and features.frequency_score >= 3 then 'at_risk'
        when features.recency_score <= 2 then 'hibernating'
        else 'occasional'
    end as segment,

    -- timestamps
    {{ as_of() }} as as_of
from features
inner join engagement on features.member_id = engagement.member_id
left join rhythms on features.member_id = rhythms.member_id
