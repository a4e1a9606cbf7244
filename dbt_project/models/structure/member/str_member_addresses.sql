{%- set key = {'address_id': 'int64'} -%}
{%- set columns = [] -%}

{{
    config(
        unique_key=key | list,
        cluster_by=key | list,
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_addresses') }}
    where {{ cdc_window() }}

),

truncates as (

    select
        _op,
        _source_position,
        _source_sequence,
        _source_ts,
        _ingestion_ts
    from {{ ref('str_truncates') }}
    where table_name = 'member_addresses' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        address_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('address_type', 'string', columns) }} as address_type,
        {{ cdc_cast('line_1', 'string', columns) }} as line_1,
        {{ cdc_cast('line_2', 'string', columns) }} as line_2,
        {{ cdc_cast('city', 'string', columns) }} as city,
        {{ cdc_cast('region', 'string', columns) }} as region,
        {{ cdc_cast('postal_code', 'string', columns) }} as postal_code,
        {{ cdc_cast('country_code', 'string', columns) }} as country_code,
        {{ cdc_cast('latitude', 'float64', columns) }} as latitude,
        {{ cdc_cast('longitude', 'float64', columns) }} as longitude,
        {{ cdc_cast('is_primary', 'bool', columns) }} as is_primary,
        {{ cdc_cast('valid_from', 'date', columns) }} as valid_from,
        {{ cdc_cast('valid_to', 'date', columns) }} as valid_to,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
