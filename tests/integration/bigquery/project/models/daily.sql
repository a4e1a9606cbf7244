{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        partition_by={'field': 'day', 'data_type': 'date'},
    )
}}

select
    date(updated_at) as day,
    count(*) as members
from {{ ref('str_members') }}
{% if is_incremental() %}
where date(updated_at) >= '{{ var("first_day", "2024-01-01") }}'
{% endif %}
group by 1
