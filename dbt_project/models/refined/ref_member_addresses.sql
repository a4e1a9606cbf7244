with

members as (

    select member_id
    from {{ as_of_rows(ref('str_members'), ['member_id']) }}
    where not is_deleted

),

addresses as (

    select
        address_id,
        member_id,
        address_type,
        line_1,
        line_2,
        city,
        region,
        postal_code,
        country_code,
        latitude,
        longitude,
        is_primary,
        valid_from,
        valid_to,
        updated_at
    from {{ as_of_rows(ref('str_member_addresses')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)

),

postcode_areas as (

    select
        country_code,
        postcode_prefix,
        area_level,
        latitude,
        longitude
    from {{ ref('postcode_areas') }}
    {{- postcode_boundaries() }}

),

countries as (

    select
        country_code,
        latitude,
        longitude
    from {{ ref('countries') }}

),

-- one spelling per address: single spaces, place names in title case, postcodes of capitals and digits. Postcodes that
-- begin with letters are British, Canadian or Irish; elsewhere these are the country's, as in A-1010.
standardised as (

    select
        addresses.address_id,
        addresses.member_id,
        addresses.address_type,
        nullif(trim(regexp_replace(addresses.line_1, r'\s+', ' ')), '') as line_1,
        nullif(trim(regexp_replace(addresses.line_2, r'\s+', ' ')), '') as line_2,
        nullif(initcap(trim(regexp_replace(addresses.city, r'\s+', ' '))), '') as city,
        nullif(initcap(trim(regexp_replace(addresses.region, r'\s+', ' '))), '') as region,
        nullif(
            regexp_replace(
                regexp_replace(upper(addresses.postal_code), r'[^0-9A-Z]', ''),
                if(upper(trim(addresses.country_code)) in ('CA', 'GB', 'IE'), r'^$', r'^[A-Z]+'),
                ''
            ),
            ''
        ) as postal_code,
        upper(trim(addresses.country_code)) as country_code,
        addresses.latitude,
        addresses.longitude,
        addresses.is_primary,
        addresses.valid_from,
        addresses.valid_to,
        addresses.updated_at
    from addresses
    inner join members on addresses.member_id = members.member_id

),

-- (0, 0) lies in the sea: systems write it when they know nothing
located as (

    select
        address_id,
        postal_code,
        country_code,
        latitude,
        longitude,
        coalesce(
            latitude between -90 and 90
            and longitude between -180 and 180
            and not (latitude = 0 and longitude = 0),
            false
        ) as has_own_location
    from standardised

),

-- What a postcode begins with, to be looked up by equality: the whole postcodes of a country are many. Letters belong
-- together, so that B for Birmingham does not take Bath's BA1. No postcode is longer than 12 characters.
prefixes as (

    select
        located.address_id,
        located.country_code,
        prefix_length,
        substr(located.postal_code, 1, prefix_length) as postcode_prefix
    from located
    cross join unnest(generate_array(1, least(length(located.postal_code), 12))) as prefix_length
    where not regexp_contains(substr(located.postal_code, prefix_length, 2), r'^[A-Z]{2}$')

),

-- the longest prefix knows best
postcode_places as (

    select
        prefixes.address_id,
        postcode_areas.area_level,
        postcode_areas.latitude,
        postcode_areas.longitude
    from prefixes
    inner join postcode_areas
        on prefixes.country_code = postcode_areas.country_code
        and prefixes.postcode_prefix = postcode_areas.postcode_prefix
    where true
    qualify row_number() over (
        partition by prefixes.address_id
        order by
            prefixes.prefix_length desc,
            postcode_areas.area_level = 'postcode' desc,
            postcode_areas.latitude,
            postcode_areas.longitude
    ) = 1

),

placed as (

    select
        located.address_id,
        case
            when located.has_own_location then 'source'
            when postcode_places.area_level is not null then postcode_places.area_level
            when countries.latitude is not null then 'country'
            else 'none'
        end as geocode_level,
        case
            when located.has_own_location then located.latitude
            else coalesce(postcode_places.latitude, countries.latitude)
        end as latitude,
        case
            when located.has_own_location then located.longitude
            else coalesce(postcode_places.longitude, countries.longitude)
        end as longitude
    from located
    left join postcode_places on located.address_id = postcode_places.address_id
    left join countries on located.country_code = countries.country_code

),

gridded as (

    select
        address_id,
        geocode_level,
        latitude,
        longitude,
        {{ geohash_column('longitude') }} as grid_column,
        {{ geohash_row('latitude') }} as grid_row
    from placed

),

-- a geohash is as long as the place is sure: seven characters are 150 m, three some 150 km
geocoded as (

    select
        address_id,
        geocode_level,
        latitude,
        longitude,
        substr(
            {{ geohash('grid_column', 'grid_row') }},
            1,
            case geocode_level when 'source' then 7 when 'postcode' then 5 when 'district' then 4 when 'area' then 3 else 2 end
        ) as geohash
    from gridded

),

held_today as (

    select
        address_id,
        coalesce(valid_from <= {{ as_of_date() }}, true)
        and coalesce(valid_to >= {{ as_of_date() }}, true) as is_current
    from standardised

)

select
    -- ids
    standardised.address_id,
    standardised.member_id,
    to_hex(sha256(concat(
        standardised.country_code,
        '|', coalesce(standardised.postal_code, ''),
        '|', coalesce(normalize_and_casefold(standardised.city), ''),
        '|', coalesce(normalize_and_casefold(standardised.line_1), ''),
        '|', coalesce(normalize_and_casefold(standardised.line_2), '')
    ))) as address_hash,

    -- address
    standardised.address_type,
    standardised.line_1,
    standardised.line_2,
    standardised.city,
    standardised.region,
    standardised.postal_code,
    standardised.country_code,

    -- location
    geocoded.latitude,
    geocoded.longitude,
    geocoded.geohash,
    geocoded.geocode_level,
    cast(
        case geocoded.geocode_level
            when 'source' then 1.0
            when 'postcode' then 0.9
            when 'district' then 0.7
            when 'area' then 0.5
            when 'country' then 0.1
            else 0.0
        end as float64
    ) as geocode_confidence,

    -- booleans
    standardised.is_primary,
    held_today.is_current,
    held_today.is_current and row_number() over (
        partition by standardised.member_id
        order by
            held_today.is_current desc,
            standardised.is_primary desc,
            standardised.address_type = 'home' desc,
            standardised.updated_at desc,
            standardised.address_id desc
    ) = 1 as is_best,

    -- dates
    standardised.valid_from,
    standardised.valid_to
from standardised
inner join geocoded on standardised.address_id = geocoded.address_id
inner join held_today on standardised.address_id = held_today.address_id
