{#-
    More places of postcodes than seed postcode_areas has, to go on with its select: one for each entry of the var
    `postcode_boundaries`. Nothing without it.
-#}
{% macro postcode_boundaries() -%}
    {%- for source in var('postcode_boundaries', []) %}
    {%- set allowed = {'relation': '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+){1,2}$', 'country_code': '^[A-Z]{2}$'} -%}
    {%- for name in ['relation', 'country_code', 'postcode', 'latitude', 'longitude'] -%}
        {%- if not modules.re.match(allowed.get(name, '^[A-Za-z_][A-Za-z0-9_]*$'), source.get(name, '') | string) -%}
            {{ exceptions.raise_compiler_error(
                "var postcode_boundaries: " ~ name ~ " is '" ~ source.get(name, '') ~ "'; give relation "
                ~ "(project.dataset.table), country_code, and the columns postcode, latitude and longitude"
            ) }}
        {%- endif -%}
    {%- endfor %}

    union all

    select
        '{{ source.country_code }}' as country_code,
        regexp_replace(upper(cast({{ source.postcode }} as string)), r'[^0-9A-Z]', '') as postcode_prefix,
        'postcode' as area_level,
        cast({{ source.latitude }} as float64) as latitude,
        cast({{ source.longitude }} as float64) as longitude
    from `{{ source.relation }}`
    where {{ source.latitude }} is not null
        and {{ source.longitude }} is not null
    {%- endfor %}
{%- endmacro %}
