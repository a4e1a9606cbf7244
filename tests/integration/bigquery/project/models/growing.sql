{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='member_id',
        on_schema_change='append_new_columns',
    )
}}

select
    member_id,
    balance
    {%- if var('with_tier', false) %},
    tier_id,
    tags
    {%- endif %}
from {{ ref('str_members') }}
