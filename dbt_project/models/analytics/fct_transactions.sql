-- What makes a fact: a row that differs in one of these from what is held is written again.
{% set compared = [
    'member_id', 'store_id', 'transaction_type', 'status', 'amount', 'discount_amount', 'currency_code', 'item_count',
    'payment_method', 'occurred_at', 'updated_at', '_source_position', '_event_id', '_ingestion_ts', 'rate_date', 'rate_to_eur'
] %}

{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='transaction_id',
        on_schema_change='append_new_columns',
        partition_by={'field': 'occurred_at', 'data_type': 'timestamp', 'granularity': 'day'},
        cluster_by=['member_id'],
        post_hook="
            delete from {{ this }}
            where transaction_id in (select transaction_id from {{ ref('str_member_transactions') }} where is_deleted)
                or member_id in (select member_id from {{ ref('str_members') }} where is_test)
        "
    )
}}

with

transactions as (

    select
        transaction_id,
        member_id,
        store_id,
        transaction_type,
        status,
        amount,
        discount_amount,
        currency_code,
        item_count,
        payment_method,
        occurred_at,
        updated_at,
        _source_position,
        _event_id,
        _ingestion_ts
    from {{ ref('str_member_transactions') }}
    where not is_deleted

),

test_members as (

    select member_id
    from {{ ref('str_members') }}
    where is_test

),

fx_rates as (

    select
        currency_code,
        rate_date,
        holds_until,
        rate_to_eur
    from {{ ref('ref_fx_rates') }}

),

{%- if is_incremental() %}

known as (

    select
        transaction_id,
        {{ compared | join(',\n        ') }}
    from {{ this }}

),
{%- endif %}

-- by the rate of the day it happened, or the last one before
priced as (

    select
        transactions.transaction_id,
        transactions.member_id,
        transactions.store_id,
        transactions.transaction_type,
        transactions.status,
        transactions.amount,
        transactions.discount_amount,
        transactions.currency_code,
        transactions.item_count,
        transactions.payment_method,
        transactions.occurred_at,
        transactions.updated_at,
        transactions._source_position,
        transactions._event_id,
        transactions._ingestion_ts,
        fx_rates.rate_date,
        fx_rates.rate_to_eur
    from transactions
    left join fx_rates
        on transactions.currency_code = fx_rates.currency_code
        and date(transactions.occurred_at) between fx_rates.rate_date and fx_rates.holds_until
    left join test_members on transactions.member_id = test_members.member_id
    where test_members.member_id is null

),

-- due is what this run has to write. Rows are compared as such, not by their time or event: an older change that comes
-- late may tell what the newest one left out, and an incremental run ends where a full refresh would.
due as (

    select
        priced.transaction_id,
        priced.member_id,
        priced.store_id,
        priced.transaction_type,
        priced.status,
        priced.amount,
        priced.discount_amount,
        priced.currency_code,
        priced.item_count,
        priced.payment_method,
        priced.occurred_at,
        priced.updated_at,
        priced._source_position,
        priced._event_id,
        priced._ingestion_ts,
        priced.rate_date,
        priced.rate_to_eur
    from priced
    {%- if is_incremental() %}
    left join known on priced.transaction_id = known.transaction_id
    where known.transaction_id is null
        {%- for column in compared %}
        or priced.{{ column }} is distinct from known.{{ column }}
        {%- endfor %}
    {%- endif %}

)

select
    -- ids
    transaction_id,
    member_id,
    store_id,

    -- kind
    transaction_type,
    status,
    payment_method,
    if(store_id is null, 'online', 'store') as sales_channel,

    -- amounts
    currency_code,
    amount,
    discount_amount,
    rate_date,
    rate_to_eur,
    round(amount * rate_to_eur, 2) as amount_eur,
    round(discount_amount * rate_to_eur, 2) as discount_eur,

    -- counts
    item_count,

    -- booleans
    coalesce(status = 'completed', false) as is_counted,

    -- timestamps
    occurred_at,
    date(occurred_at) as occurred_on,
    updated_at,

    -- row version
    _source_position,
    _event_id,
    _ingestion_ts
from due
