{#- Validity: fails for every text that does not cast to the type; null is no value. -#}
{% test casts_to(model, column_name, data_type, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{%- set fails = column_name ~ ' is not null and safe_cast(' ~ column_name ~ ' as ' ~ data_type ~ ') is null' %}
{{ quality_rows(model, fails, max_share) }}

{% endtest %}
