{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='updated_at',
        batch_size='day',
        begin='2024-01-01',
        lookback=1,
        partition_by={'field': 'updated_at', 'data_type': 'timestamp', 'granularity': 'day'},
    )
}}

select
    member_id,
    updated_at
from {{ ref('str_members') }}
