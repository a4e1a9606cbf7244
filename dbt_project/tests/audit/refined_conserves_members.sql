-- Structure may move on while refined is being built: a few members more or less only warn, more than that stop analytics.
{{
    config(
        tags=['refined'],
        fail_calc=quality_fail_calc(),
        error_if='> 10 + 0.01 * checked_rows',
        meta={'owner': 'loyalty-data', 'dimension': 'consistency', 'weight': 3},
    )
}}

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

),

{{ audit_compared_members('members', 'profiles') }}
