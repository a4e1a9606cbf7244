{#- Consistency: fails for every value that the field of another table does not have; null refers to nothing. -#}
{% test refers_to(model, column_name, to, field, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'consistency'}) }}
{%- set known = 'select ' ~ field ~ ' from ' ~ to ~ ' where ' ~ field ~ ' is not null' %}
{{ quality_rows(model, column_name ~ ' is not null and ' ~ column_name ~ ' not in (' ~ known ~ ')', max_share) }}

{% endtest %}
