{%- set key = {'transaction_id': 'int64'} -%}
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
    from {{ source('member', 'member_transactions') }}
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
    where table_name = 'member_transactions' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        transaction_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('store_id', 'int64', columns) }} as store_id,
        {{ cdc_cast('transaction_type', 'string', columns) }} as transaction_type,
        {{ cdc_cast('status', 'string', columns) }} as status,
        {{ cdc_cast('amount', 'numeric', columns) }} as amount,
        {{ cdc_cast('discount_amount', 'numeric', columns) }} as discount_amount,
        {{ cdc_cast('currency_code', 'string', columns) }} as currency_code,
        {{ cdc_cast('item_count', 'int64', columns) }} as item_count,
        {{ cdc_cast('payment_method', 'string', columns) }} as payment_method,
        {{ cdc_cast('basket', 'json', columns) }} as basket,
        {{ cdc_cast('occurred_at', 'timestamp', columns) }} as occurred_at,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
