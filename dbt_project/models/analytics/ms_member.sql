-- Points each part adds to the engagement score at its best; they add up to 100.
{% set weights = {'recency': 30, 'frequency': 25, 'monetary': 20, 'interactions': 15, 'contactability': 10} %}

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
        joined_at
    from {{ ref('ref_member_profiles') }}
    where not is_test

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
        channel
    from {{ ref('ref_member_consents') }}
    where is_granted

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
        points_expiring_90d
    from {{ ref('ref_member_loyalty') }}

),

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
        date_diff({{ as_of_date() }}, activity_date, day) as days_ago
    from {{ ref('ref_member_activity') }}

),

permissions as (

    select
        member_id,
        logical_or(purpose = 'marketing' and channel = 'email') as allows_email,
        logical_or(purpose = 'marketing' and channel = 'sms') as allows_sms,
        logical_or(purpose = 'marketing' and channel = 'push') as allows_push,
        logical_or(purpose = 'marketing' and channel = 'post') as allows_post,
        logical_or(purpose = 'profiling') as allows_profiling
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
        profiles.status != 'closed'
        and coalesce(contacts.is_email_reachable and permissions.allows_email, false)
        and not coalesce(mutes.mutes_email, false) as can_email,
        profiles.status != 'closed'
        and coalesce(contacts.is_mobile_reachable and permissions.allows_sms, false)
        and not coalesce(mutes.mutes_sms, false) as can_sms,
        profiles.status != 'closed'
        and coalesce(permissions.allows_push, false)
        and not coalesce(mutes.mutes_push, false) as can_push,
        profiles.status != 'closed'
        and coalesce(addresses.member_id is not null and permissions.allows_post, false)
        and not coalesce(mutes.mutes_post, false) as can_post,
        coalesce(permissions.allows_profiling, false) as is_profiling_allowed
    from profiles
    left join contacts on profiles.member_id = contacts.member_id
    left join addresses on profiles.member_id = addresses.member_id
    left join permissions on profiles.member_id = permissions.member_id
    left join mutes on profiles.member_id = mutes.member_id

),

behaviour as (

    select
        member_id,
        max(if(actions > 0, activity_date, null)) as last_action_on,
        max(if(purchases > 0, activity_date, null)) as last_purchase_on,
        countif(actions > 0 and days_ago < 90) as active_days_90d,
        sum(if(days_ago < 90, digital_interactions + personal_interactions, 0)) as interactions_90d,
        sum(if(days_ago < 365, purchases, 0)) as purchases_365d,
        sum(if(days_ago < 365, spend_eur, 0)) as spend_eur_365d,
        sum(spend_eur) as spend_eur,
        sum(if(days_ago < 365, cases_opened, 0)) as cases_365d
    from activity
    group by member_id

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
        loyalty.points_expiring_90d,
        behaviour.last_action_on,
        behaviour.last_purchase_on,
        date_diff({{ as_of_date() }}, behaviour.last_action_on, day) as days_since_action,
        date_diff({{ as_of_date() }}, behaviour.last_purchase_on, day) as days_since_purchase,
        coalesce(behaviour.active_days_90d, 0) as active_days_90d,
        coalesce(behaviour.interactions_90d, 0) as interactions_90d,
        coalesce(behaviour.purchases_365d, 0) as purchases_365d,
        coalesce(behaviour.cases_365d, 0) as cases_365d,
        coalesce(behaviour.spend_eur_365d, 0) as spend_eur_365d,
        coalesce(behaviour.spend_eur, 0) as spend_eur,
        coalesce(rfm.recency_score, 0) as recency_score,
        coalesce(rfm.frequency_score, 0) as frequency_score,
        coalesce(rfm.monetary_score, 0) as monetary_score
    from profiles
    inner join contactability on profiles.member_id = contactability.member_id
    inner join loyalty on profiles.member_id = loyalty.member_id
    left join behaviour on profiles.member_id = behaviour.member_id
    left join rfm on profiles.member_id = rfm.member_id

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
    features.points_expiring_90d,

    -- behaviour
    features.last_action_on,
    features.last_purchase_on,
    features.days_since_action,
    features.days_since_purchase,
    features.active_days_90d,
    features.interactions_90d,
    features.purchases_365d,
    features.cases_365d,
    features.spend_eur_365d,
    features.spend_eur,

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

    -- segment: the first that fits
    case
        when features.status = 'closed' then 'closed'
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
