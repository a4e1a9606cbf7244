{%- set key = {'profile_id': 'int64'} -%}
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
    from {{ source('member', 'member_profiles') }}
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
    where table_name = 'member_profiles' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        profile_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('source_code', 'string', columns) }} as source_code,
        {{ cdc_cast('first_name', 'string', columns) }} as first_name,
        {{ cdc_cast('last_name', 'string', columns) }} as last_name,
        {{ cdc_cast('birth_date', 'date', columns) }} as birth_date,
        {{ cdc_cast('occupation', 'string', columns) }} as occupation,
        {{ cdc_cast('household_size', 'int64', columns) }} as household_size,
        {{ cdc_cast('income_band', 'string', columns) }} as income_band,
        {{ cdc_cast('annual_income', 'numeric', columns) }} as annual_income,
        {{ cdc_cast('biography', 'string', columns) }} as biography,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
