{#- Validity: fails for every text that is not of a named format (see quality_formats); null is no value. -#}
{% test has_format(model, column_name, format, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{%- set formats = quality_formats() -%}
{%- if format not in formats -%}
    {{ exceptions.raise_compiler_error('has_format knows no ' ~ format ~ '; it knows ' ~ formats | join(', ')) }}
{%- endif %}
{{ quality_rows(model, "not regexp_contains(" ~ column_name ~ ", r'^(?:" ~ formats[format] ~ ")$')", max_share) }}

{% endtest %}


{#- RE2 patterns by name of the format. An e-mail address is judged by its shape, as RFC 5321 allows more than any mail server. -#}
{% macro quality_formats() -%}
    {{ return({
        'email': '[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+',
        'e164': '[+][1-9][0-9]{6,14}',
        'country_code': '[A-Z]{2}',
        'language_code': '[a-z]{2}',
        'currency_code': '[A-Z]{3}',
        'sha256_hex': '[0-9a-f]{64}',
        'time_of_day': '([01][0-9]|2[0-3]):[0-5][0-9]',
    }) }}
{%- endmacro %}
