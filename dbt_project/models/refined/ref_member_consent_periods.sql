with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

consents as (

    select
        consent_id,
        member_id,
        purpose,
        channel,
        state,
        legal_basis,
        text_version,
        captured_in,
        captured_at,
        expires_at
    from {{ as_of_rows(ref('str_member_consents')) }}
    where not is_deleted

),

-- a statement counts from the moment it was made, for each channel it speaks for; one that does not say for what, or
-- where, counts for nothing
statements as (

    select
        consents.consent_id,
        consents.member_id,
        consents.purpose,
        covered_channel as channel,
        consents.channel = 'any' as is_blanket,
        consents.state,
        consents.legal_basis,
        consents.text_version,
        consents.captured_in,
        consents.captured_at,
        consents.expires_at
    from consents
    inner join members on consents.member_id = members.member_id
    cross join unnest(
        if(consents.channel = 'any', ['email', 'sms', 'push', 'post', 'any'], [consents.channel])
    ) as covered_channel
    where consents.captured_at <= {{ as_of() }}
        and consents.purpose is not null
        and consents.channel is not null

),

-- of statements of the same instant one that grants nothing decides, and a withdrawal before one that is not understood
deciding as (

    select
        consent_id,
        member_id,
        purpose,
        channel,
        is_blanket,
        state,
        legal_basis,
        text_version,
        captured_in,
        captured_at,
        expires_at
    from statements
    where true
    qualify row_number() over (
        partition by member_id, purpose, channel, captured_at
        order by coalesce(state = 'granted', false), state = 'withdrawn' desc, consent_id desc
    ) = 1

),

-- each holds until the next one, a grant not beyond its expiry
chained as (

    select
        consent_id,
        member_id,
        purpose,
        channel,
        is_blanket,
        state,
        legal_basis,
        text_version,
        captured_in,
        captured_at,
        expires_at,
        lead(captured_at, 1, timestamp '9999-12-31 00:00:00+00:00') over (
            partition by member_id, purpose, channel
            order by captured_at
        ) as followed_at,
        if(state = 'granted', greatest(expires_at, captured_at), null) as lapses_at
    from deciding

),

-- a lapsed grant does not bring back what was said before it
periods as (

    select
        chained.consent_id,
        chained.member_id,
        chained.purpose,
        chained.channel,
        chained.is_blanket,
        if(is_lapsed, 'expired', chained.state) as state,
        chained.legal_basis,
        chained.text_version,
        chained.captured_in,
        chained.captured_at,
        chained.expires_at,
        if(is_lapsed, chained.lapses_at, chained.captured_at) as effective_from,
        if(is_lapsed, chained.followed_at, least(coalesce(chained.lapses_at, chained.followed_at), chained.followed_at))
            as effective_to
    from chained
    cross join unnest([false, true]) as is_lapsed
    where chained.lapses_at is not null or not is_lapsed

)

select
    -- ids
    concat(
        cast(member_id as string), '|', purpose, '|', channel, '|', cast(unix_micros(effective_from) as string)
    ) as member_consent_period_key,
    concat(cast(member_id as string), '|', purpose, '|', channel) as member_consent_key,
    member_id,
    consent_id,

    -- what
    purpose,
    channel,

    -- state
    state,
    coalesce(state = 'granted', false) as is_granted,
    is_blanket,

    -- evidence
    legal_basis,
    text_version,
    captured_in,

    -- timestamps
    captured_at,
    expires_at,
    effective_from,
    effective_to
from periods
where effective_from < effective_to
