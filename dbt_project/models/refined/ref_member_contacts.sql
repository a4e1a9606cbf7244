with

members as (

    select
        member_id,
        country_code
    from {{ as_of_rows(ref('str_members'), ['country_code']) }}
    where not is_deleted

),

emails as (

    select
        email_id,
        member_id,
        email,
        is_primary,
        is_verified,
        verified_at,
        bounced_at,
        updated_at
    from {{ as_of_rows(ref('str_member_emails')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)

),

phones as (

    select
        phone_id,
        member_id,
        phone_number,
        phone_type,
        is_primary,
        is_verified,
        is_reachable,
        updated_at
    from {{ as_of_rows(ref('str_member_phones')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)

),

countries as (

    select
        country_code,
        calling_code
    from {{ ref('countries') }}

),

-- what became of an address after as_of has not happened yet
normalised_emails as (

    select
        email_id,
        member_id,
        lower(trim(email)) as email,
        is_primary,
        is_verified and coalesce(verified_at <= {{ as_of() }}, true) as is_verified,
        if(verified_at <= {{ as_of() }}, verified_at, null) as verified_at,
        if(bounced_at <= {{ as_of() }}, bounced_at, null) as bounced_at,
        updated_at
    from emails

),

-- a bounce stands until the member confirms the address again
judged_emails as (

    select
        email_id,
        member_id,
        email,
        is_primary,
        is_verified,
        updated_at,
        case
            when not coalesce(regexp_contains(email, r'^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$'), false) then 'invalid'
            when bounced_at is not null and coalesce(verified_at < bounced_at, true) then 'bounced'
            when is_verified then 'reachable'
            else 'unverified'
        end as email_status
    from normalised_emails

),

best_emails as (

    select
        email_id,
        member_id,
        email,
        is_verified,
        email_status
    from judged_emails
    where true
    qualify row_number() over (
        partition by member_id
        order by
            case email_status when 'reachable' then 1 when 'unverified' then 2 when 'bounced' then 3 else 4 end,
            is_primary desc,
            updated_at desc,
            email_id desc
    ) = 1

),

dialled_phones as (

    select
        phones.phone_id,
        phones.member_id,
        phones.phone_type,
        phones.is_primary,
        phones.is_verified,
        phones.is_reachable,
        phones.updated_at,
        countries.calling_code,
        regexp_replace(phones.phone_number, r'\(0\)|[^0-9+]', '') as dialled
    from phones
    inner join members on phones.member_id = members.member_id
    left join countries on members.country_code = countries.country_code

),

-- E.164: '+' or '00' leads an international number, a single '0' a national one; '(0)' is for callers at home
international_phones as (

    select
        phone_id,
        member_id,
        phone_type,
        is_primary,
        is_verified,
        is_reachable,
        updated_at,
        case
            when starts_with(dialled, '+') then dialled
            when starts_with(dialled, '00') then concat('+', substr(dialled, 3))
            when starts_with(dialled, '0') then concat('+', calling_code, substr(dialled, 2))
        end as phone_e164
    from dialled_phones

),

judged_phones as (

    select
        phone_id,
        member_id,
        phone_type,
        phone_e164,
        is_primary,
        is_verified,
        updated_at,
        case
            when not coalesce(regexp_contains(phone_e164, r'^\+[1-9][0-9]{6,14}$'), false) then 'invalid'
            when not coalesce(is_reachable, true) then 'unreachable'
            when is_reachable or is_verified then 'reachable'
            else 'untried'
        end as phone_status
    from international_phones

),

best_phones as (

    select
        phone_id,
        member_id,
        if(phone_status = 'invalid', null, phone_e164) as phone_e164,
        phone_type,
        is_verified,
        phone_status
    from judged_phones
    where true
    qualify row_number() over (
        partition by member_id
        order by
            case phone_status when 'reachable' then 1 when 'untried' then 2 when 'unreachable' then 3 else 4 end,
            is_verified desc,
            is_primary desc,
            phone_type = 'mobile' desc,
            updated_at desc,
            phone_id desc
    ) = 1

)

select
    -- ids
    members.member_id,
    best_emails.email_id,
    best_phones.phone_id,

    -- e-mail
    best_emails.email,
    coalesce(best_emails.email_status, 'none') as email_status,

    -- telephone
    best_phones.phone_e164,
    best_phones.phone_type,
    coalesce(best_phones.phone_status, 'none') as phone_status,

    -- booleans
    coalesce(best_emails.is_verified, false) as is_email_verified,
    coalesce(best_emails.email_status = 'reachable', false) as is_email_reachable,
    coalesce(best_phones.is_verified, false) as is_phone_verified,
    coalesce(best_phones.phone_status = 'reachable', false) as is_phone_reachable,
    coalesce(best_phones.phone_status = 'reachable' and best_phones.phone_type = 'mobile', false)
        as is_mobile_reachable
from members
left join best_emails on members.member_id = best_emails.member_id
left join best_phones on members.member_id = best_phones.member_id
