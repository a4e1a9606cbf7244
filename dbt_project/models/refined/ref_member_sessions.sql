-- Minutes without an action after which the next one begins a session of its own.
{% set gap = whole_number('session_gap_minutes', 1, 30) %}

with

actions as (

    select
        member_event_key,
        member_id,
        event_type,
        spend_eur,
        occurred_at
    from {{ ref('ref_member_events') }}
    where is_action

),

-- the first action of a member, and every one after a gap, begins a session
marked as (

    select
        member_event_key,
        member_id,
        event_type,
        spend_eur,
        occurred_at,
        if(
            occurred_at < timestamp_add(
                lag(occurred_at) over (partition by member_id order by occurred_at, member_event_key),
                interval {{ gap }} minute
            ),
            0,
            1
        ) as begins
    from actions

),

numbered as (

    select
        member_event_key,
        member_id,
        event_type,
        spend_eur,
        occurred_at,
        sum(begins) over (
            partition by member_id
            order by occurred_at, member_event_key
            rows between unbounded preceding and current row
        ) as session_number
    from marked

),

sessions as (

    select
        member_id,
        session_number,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as actions,
        countif(event_type = 'purchase') as purchases,
        sum(if(event_type = 'purchase', spend_eur, 0)) as purchase_eur
    from numbered
    group by
        member_id,
        session_number

)

select
    -- ids
    concat(cast(member_id as string), '|', cast(session_number as string)) as member_session_key,
    member_id,
    session_number,

    -- timestamps
    started_at,
    ended_at,

    -- counts
    timestamp_diff(ended_at, started_at, second) as duration_s,
    actions,
    purchases,

    -- amounts
    coalesce(purchase_eur, 0) as purchase_eur,

    -- booleans
    purchases > 0 as has_purchase,
    timestamp_add(ended_at, interval {{ gap }} minute) > {{ as_of() }} as is_open
from sessions
