{{ config(materialized='view', persist_docs={'relation': true, 'columns': true}) }}

select
    member_id,
    tier_name
from {{ ref('str_members') }}
left join {{ ref('tiers') }} using (tier_id)
