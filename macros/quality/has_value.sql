{#- Completeness: fails for every row in which the column is null. `max_share` of the rows may. -#}
{% test has_value(model, column_name, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'completeness'}) }}
{{ quality_rows(model, column_name ~ ' is null', max_share) }}

{% endtest %}
