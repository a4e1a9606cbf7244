with

profiles as (

    select
        member_id,
        member_number,
        first_name,
        last_name,
        birth_date
    from {{ ref('ref_member_profiles') }}
    where not is_test

),

contacts as (

    select
        member_id,
        email,
        phone_e164
    from {{ ref('ref_member_contacts') }}

)

select
    -- ids
    profiles.member_id,
    {{ privacy_reference('profiles.member_number', 'identifier') }} as card_reference,

    -- masks
    {{ privacy_mask('profiles.first_name', 'name') }} as first_initial,
    {{ privacy_mask('profiles.last_name', 'name') }} as last_initial,
    {{ privacy_mask('contacts.email', 'email') }} as email_hint,
    {{ privacy_mask('contacts.phone_e164', 'phone') }} as phone_hint,
    extract(year from {{ privacy_mask('profiles.birth_date', 'birth_date') }}) as birth_year
from profiles
left join contacts on profiles.member_id = contacts.member_id
