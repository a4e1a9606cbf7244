{{
    config(
        unique_key=['table_name', '_event_id', 'column_name'],
        cluster_by=['table_name'],
        meta={'merge_update_when': "DBT_INTERNAL_SOURCE._op = 'READ'"},
    )
}}

{%- set unread = cdc_unread(ref('str_truncates')) -%}

with

raw_rows as (

    {% for table in cdc_tables() -%}
    select
        '{{ table }}' as table_name,
        {{ cdc_raw_columns() }}
    from {{ source('member', table) }}
    where {{ unread[table] or "_ingestion_ts < timestamp '1970-01-01 00:00:00+00:00'" }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

-- the image: the row after the change, or before it when it was deleted
readable as (

    select
        table_name,
        {{ cdc_raw_metadata() }},
        {{ cdc_json_object(cdc_held_image("if(_op = 'DELETE', before, payload)")) }} as _image,
        {{ cdc_json_object('coalesce(_key, payload, before)') }} as _key_image
    from raw_rows
    where _op in ('INSERT', 'UPDATE', 'DELETE', 'SNAPSHOT') and _source_position is not null

),

applicable as (

    select *
    from readable
    where
        (_op = 'DELETE' or _image is not null)
        -- who was erased stays erased, whatever lands again
        and not {{ is_erased('_image', 'table_name') }}

),

told as (

    select
        applicable.*,
        each.column_name,
        each.data_type,
        each.pii,
        each.json_text,
        json_value(each.json_text, '$') as text
    from applicable
    cross join unnest(
        case applicable.table_name
            {% for table in cdc_tables() -%}
            when '{{ table }}' then {{ cdc_row_values(table) }}
            {% endfor -%}
        end
    ) as each
    where {{ cdc_is_told('each.json_text') }}

),

judged as (

    select
        told.*,
        {{ cdc_fault('told') }} as reason
    from told

),

quarantined as (

    select
        table_name,
        column_name,
        data_type,
        reason,
        case
            when pii is not null then {{ privacy_reference_to('coalesce(text, json_text)', 'pii') }}
            else substr(coalesce(text, json_text), 1, 1000)
        end as value,
        safe_cast(coalesce(json_value(_image, '$.member_id'), json_value(_key_image, '$.member_id')) as int64) as member_id,
        _op,
        _key,
        _source_system,
        _source_ts,
        _source_position,
        _event_id,
        _ingestion_ts,
        cast(null as int64) as read_count,
        cast(null as int64) as read_micros
    from judged
    where reason is not null
    -- of two deliveries, the first
    qualify row_number() over (partition by table_name, _event_id, column_name order by _ingestion_ts) = 1

),

asked as (

    select
        table_name,
        {{ cdc_interval('_ingestion_ts') }} as starts_at,
        count(*) as read_count,
        sum(mod(unix_micros(_ingestion_ts), 600000000)) as read_micros
    from raw_rows
    group by table_name, starts_at

),

marks as (

    select
        table_name,
        '' as column_name,
        cast(null as string) as data_type,
        cast(null as string) as reason,
        cast(null as string) as value,
        cast(null as int64) as member_id,
        'READ' as _op,
        cast(null as string) as _key,
        cast(null as string) as _source_system,
        cast(null as timestamp) as _source_ts,
        cast(null as string) as _source_position,
        format_timestamp('read %Y-%m-%dT%H:%M', starts_at) as _event_id,
        starts_at as _ingestion_ts,
        read_count,
        read_micros
    from asked

),

known as (

    select * from quarantined
    union all
    select * from marks

)

select
    *,
    current_timestamp() as quarantined_at
from known
