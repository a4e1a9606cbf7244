{{
    config(
        unique_key=['table_name', '_event_id'],
        merge_exclude_columns=['applied_count', 'applied_micros'],
        meta={'merge_update_when': "DBT_INTERNAL_SOURCE._op = 'READ'"},
        post_hook='{{ cdc_ask_ahead() }}',
    )
}}

{%- set counted_from = cdc_counted_from() -%}

with

{% for table in cdc_tables() -%}
{{ table }} as (

    select
        '{{ table }}' as table_name,
        _op,
        _source_position,
        _source_sequence,
        _source_ts,
        _event_id,
        _ingestion_ts
    from {{ source('member', table) }}
    where _ingestion_ts >= timestamp '{{ counted_from[table] }}'

),

{% endfor -%}

raw_rows as (

    {% for table in cdc_tables() -%}
    select * from {{ table }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

truncates as (

    select
        table_name,
        _op,
        _source_position,
        _source_sequence,
        _source_ts,
        _event_id,
        _ingestion_ts,
        cast(null as int64) as found_count,
        cast(null as int64) as found_micros
    from raw_rows
    where _op = 'TRUNCATE' and _source_position is not null
    -- of two deliveries, the first
    qualify row_number() over (partition by table_name, _event_id order by _ingestion_ts) = 1

),

landed as (

    select
        table_name,
        {{ cdc_interval('_ingestion_ts') }} as starts_at,
        count(*) as row_count,
        sum(mod(unix_micros(_ingestion_ts), 600000000)) as micros
    from raw_rows
    group by table_name, starts_at

),

{% if is_incremental() -%}
-- what was there and is no more, having been erased or having expired
vanished as (

    select
        known.table_name,
        known._ingestion_ts as starts_at,
        0 as row_count,
        0 as micros
    from {{ this }} as known
    left join landed
        on known.table_name = landed.table_name and known._ingestion_ts = landed.starts_at
    where
        known._op = 'READ'
        and known.found_count > 0
        and landed.table_name is null
        and (
            {% for table in cdc_tables() -%}
            (known.table_name = '{{ table }}' and known._ingestion_ts >= timestamp '{{ counted_from[table] }}')
            {% if not loop.last %}or{% endif %}
            {% endfor -%}
        )

),

{% endif -%}
counted as (

    select * from landed
    {% if is_incremental() -%}
    union all
    select * from vanished
    {% endif %}
),

marks as (

    select
        table_name,
        'READ' as _op,
        cast(null as string) as _source_position,
        cast(null as int64) as _source_sequence,
        cast(null as timestamp) as _source_ts,
        format_timestamp('read %Y-%m-%dT%H:%M', starts_at) as _event_id,
        starts_at as _ingestion_ts,
        row_count as found_count,
        micros as found_micros
    from counted

),

known as (

    select * from truncates
    union all
    select * from marks

)

select
    table_name,
    _op,
    _source_position,
    _source_sequence,
    _source_ts,
    _event_id,
    _ingestion_ts,
    found_count,
    found_micros,
    if(_op = 'READ', '{{ invocation_id }}', null) as found_by,
    -- filled in by the macro cdc_confirm once the models have applied the rows
    cast(null as int64) as applied_count,
    cast(null as int64) as applied_micros
from known
