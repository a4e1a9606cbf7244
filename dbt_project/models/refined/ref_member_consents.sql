-- The state that holds as of now, of all the periods in which a member permitted something or did not.
select
    -- ids
    member_consent_key,
    member_id,
    consent_id,

    -- what
    purpose,
    channel,

    -- state
    state,
    is_granted,
    is_blanket,

    -- evidence
    legal_basis,
    text_version,
    captured_in,

    -- timestamps
    captured_at,
    expires_at
from {{ ref('ref_member_consent_periods') }}
where effective_from <= {{ as_of() }}
    and effective_to > {{ as_of() }}
