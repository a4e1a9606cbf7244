with

rates as (

    select
        currency_code,
        rate_date,
        rate_to_eur
    from {{ ref('exchange_rates') }}
    where rate_to_eur is not null

)

-- a rate holds until the next one: a day without one, be it a Sunday or a gap, takes the last known, never a later one
select
    -- ids
    concat(currency_code, '|', cast(rate_date as string)) as fx_rate_key,
    currency_code,

    -- dates
    rate_date,
    coalesce(
        date_sub(lead(rate_date) over (partition by currency_code order by rate_date), interval 1 day),
        date '9999-12-31'
    ) as holds_until,

    -- rates
    rate_to_eur
from rates
