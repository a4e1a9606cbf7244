with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

preferences as (

    select
        member_id,
        channel,
        topic,
        is_enabled,
        frequency_cap,
        quiet_hours,
        updated_at
    from {{ as_of_rows(ref('str_member_preferences')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)
        -- what is wished for, or where, was not said
        and channel is not null
        and topic is not null

),

marketing_consents as (

    select
        member_id,
        channel,
        state
    from {{ ref('ref_member_consents') }}
    where purpose = 'marketing'

),

-- every topic is marketing: without a standing consent the wish for messages counts for nothing. Nothing is allowed but
-- by a wish and a grant that say so: what is not told, or not understood, allows nothing.
decided as (

    select
        preferences.member_id,
        preferences.channel,
        preferences.topic,
        preferences.is_enabled,
        preferences.frequency_cap,
        preferences.quiet_hours,
        preferences.updated_at,
        case
            when not coalesce(preferences.is_enabled, false) then 'switched_off'
            when marketing_consents.state = 'granted' then 'allowed'
            when marketing_consents.state = 'withdrawn' then 'consent_withdrawn'
            when marketing_consents.state = 'expired' then 'consent_expired'
            else 'consent_missing'
        end as decision
    from preferences
    inner join members on preferences.member_id = members.member_id
    left join marketing_consents
        on preferences.member_id = marketing_consents.member_id
        and preferences.channel = marketing_consents.channel

)

select
    -- ids
    concat(cast(member_id as string), '|', channel, '|', topic) as member_preference_key,
    member_id,

    -- what
    channel,
    topic,

    -- state
    is_enabled,
    decision = 'allowed' as is_allowed,
    decision,

    -- limits
    if(decision = 'allowed', frequency_cap, 0) as weekly_cap,
    json_value(quiet_hours, '$.start') as quiet_from,
    json_value(quiet_hours, '$.end') as quiet_until,
    json_value(quiet_hours, '$.zone') as quiet_zone,

    -- timestamps
    updated_at as stated_at
from decided
