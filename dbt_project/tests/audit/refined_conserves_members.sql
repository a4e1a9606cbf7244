-- Warns only, for structure may have moved on while refined was being built.
{{ config(tags=['refined'], severity='warn', meta={'owner': 'loyalty-data', 'dimension': 'consistency'}) }}

-- Every live member of structure has a golden profile, and nobody else does.
with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

profiles as (

    select member_id
    from {{ ref('ref_member_profiles') }}

)

select
    coalesce(members.member_id, profiles.member_id) as member_id,
    members.member_id is null as is_in_excess
from members
full outer join profiles on members.member_id = profiles.member_id
where members.member_id is null or profiles.member_id is null
