{{ config(tags=['analytics'], meta={'owner': 'loyalty-data', 'dimension': 'consistency'}) }}

-- Every golden profile but those of test accounts, and of members who join after as_of, has its row of features, and nobody else does.
with

profiles as (

    select member_id
    from {{ ref('ref_member_profiles') }}
    where not is_test
        and coalesce(joined_at <= {{ as_of() }}, true)

),

features as (

    select member_id
    from {{ ref('ms_member') }}

)

select
    coalesce(profiles.member_id, features.member_id) as member_id,
    profiles.member_id is null as is_in_excess
from profiles
full outer join features on profiles.member_id = features.member_id
where profiles.member_id is null or features.member_id is null
