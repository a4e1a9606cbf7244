{{ config(materialized='view', on_schema_change='ignore') }}

with

raw_rows as (

    {% for table in cdc_tables() -%}
    select
        '{{ table }}' as table_name,
        {{ cdc_key_can_be_read(table) }} as key_can_be_read,
        payload,
        before,
        _op,
        _op_inferred,
        _key,
        _source_system,
        _source_table,
        _source_ts,
        _source_position,
        _event_id,
        _ingestion_ts,
        _load_id
    from {{ source('member', table) }}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

judged as (

    select
        table_name,
        payload,
        before,
        _op,
        _key,
        _source_system,
        _source_table,
        _source_ts,
        _source_position,
        _event_id,
        _ingestion_ts,
        _load_id,
        {{ cdc_quarantine_reason('key_can_be_read') }} as reason
    from raw_rows

),

whole_rows as (

    select
        table_name,
        cast(null as string) as column_name,
        cast(null as string) as data_type,
        cast(null as string) as value,
        reason,
        _op,
        _key,
        payload,
        before,
        _source_system,
        _source_table,
        _source_ts,
        _source_position,
        _event_id,
        _ingestion_ts,
        _load_id
    from judged
    where reason is not null and not {{ is_erased_as_landed('table_name') }}

),

single_values as (

    select
        table_name,
        column_name,
        data_type,
        value,
        reason,
        _op,
        _key,
        cast(null as string) as payload,
        cast(null as string) as before,
        _source_system,
        cast(null as string) as _source_table,
        _source_ts,
        _source_position,
        _event_id,
        _ingestion_ts,
        cast(null as string) as _load_id
    from {{ ref('str_quarantined_values') }}
    where _op != 'READ'

)

select * from whole_rows
union all
select * from single_values
