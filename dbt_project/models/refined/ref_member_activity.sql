-- Minutes by which the watermark is taken to trail the clock: until then an event is on time; the pipeline's allowed lateness.
{% set lateness = whole_number('activity_allowed_lateness_minutes', 0, 10) %}

with

events as (

    select
        member_id,
        event_type,
        is_action,
        spend_eur,
        discount_eur,
        points,
        occurred_at,
        window_start,
        timestamp_add(window_start, interval 300 second) as window_end,
        _ingestion_ts
    from {{ ref('ref_member_events') }}

),

-- the pane an event fired in, in the terms of Beam: early before the window's end, on time until the watermark passes it
timed as (

    select
        member_id,
        event_type,
        is_action,
        spend_eur,
        discount_eur,
        points,
        occurred_at,
        window_start,
        window_end,
        _ingestion_ts,
        case
            when _ingestion_ts < window_end then 'early'
            when _ingestion_ts < timestamp_add(window_end, interval {{ lateness }} minute) then 'on_time'
            else 'late'
        end as pane_timing
    from events

),

windows as (

    select
        member_id,
        window_start,
        window_end,
        count(*) as events,
        countif(pane_timing = 'early') as early_events,
        countif(pane_timing = 'on_time') as on_time_events,
        countif(pane_timing = 'late') as late_events,
        countif(is_action) as actions,
        countif(event_type = 'purchase') as purchases,
        countif(event_type = 'refund') as refunds,
        countif(event_type in ('email_open', 'email_click', 'login', 'app_open')) as digital_interactions,
        countif(event_type in ('store_visit', 'call')) as personal_interactions,
        countif(event_type = 'case') as cases_opened,
        sum(spend_eur) as spend_eur,
        sum(discount_eur) as discount_eur,
        sum(if(event_type = 'purchase', spend_eur, 0)) as purchase_eur,
        sum(if(event_type = 'earn', points, 0)) as points_earned,
        -sum(if(event_type = 'redeem', points, 0)) as points_redeemed,
        sum(points) as points_change,
        min(if(is_action, occurred_at, null)) as first_action_at,
        max(if(is_action, occurred_at, null)) as last_action_at,
        max(_ingestion_ts) as last_ingested_at
    from timed
    group by
        member_id,
        window_start,
        window_end

)

select
    -- ids
    concat(cast(member_id as string), '|', format_timestamp('%Y-%m-%dT%H:%M', window_start)) as member_window_key,
    member_id,

    -- window
    window_start,
    window_end,
    date(window_start) as activity_date,

    -- panes
    case
        when late_events > 0 then 'late'
        when on_time_events > 0 then 'on_time'
        else 'early'
    end as pane_timing,
    if(early_events > 0, 1, 0) + if(on_time_events > 0, 1, 0) + if(late_events > 0, 1, 0) as panes,
    timestamp_add(window_end, interval {{ lateness }} minute) <= {{ as_of() }} as is_final,
    last_ingested_at,

    -- counts
    events,
    early_events,
    on_time_events,
    late_events,
    actions,
    purchases,
    refunds,
    digital_interactions,
    personal_interactions,
    cases_opened,

    -- amounts
    coalesce(spend_eur, 0) as spend_eur,
    coalesce(discount_eur, 0) as discount_eur,
    coalesce(purchase_eur, 0) as purchase_eur,
    coalesce(points_earned, 0) as points_earned,
    coalesce(points_redeemed, 0) as points_redeemed,
    coalesce(points_change, 0) as points_change,

    -- timestamps
    first_action_at,
    last_action_at
from windows
