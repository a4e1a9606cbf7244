{{
    config(
        tags=['analytics'],
        fail_calc=quality_fail_calc(),
        meta={'owner': 'loyalty-data', 'dimension': 'consistency', 'weight': 3},
    )
}}

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

),

{{ audit_compared_members('profiles', 'features') }}
