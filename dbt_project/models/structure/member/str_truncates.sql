{{
    config(
        unique_key=['table_name', '_event_id'],
        meta={'merge_update_when': "DBT_INTERNAL_SOURCE._op = 'READ'"},
    )
}}

{#- Each table is read from where it was last read, which a quiet table's truncates would not tell. -#}
{%- set marks = cdc_marks() -%}

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
    where {{ cdc_window_since_mark(marks, table) }}

),

{% endfor -%}

raw_rows as (

    {% for table in cdc_tables() -%}
    select * from {{ table }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

truncates as (

    select *
    from raw_rows
    where _op = 'TRUNCATE' and _source_position is not null
    -- of two deliveries, the first
    qualify row_number() over (partition by table_name, _event_id order by _ingestion_ts) = 1

),

marks as (

    select
        table_name,
        'READ' as _op,
        cast(null as string) as _source_position,
        cast(null as int64) as _source_sequence,
        cast(null as timestamp) as _source_ts,
        'read' as _event_id,
        least(max(_ingestion_ts), current_timestamp()) as _ingestion_ts
    from raw_rows
    group by table_name

)

select * from truncates
union all
select * from marks
