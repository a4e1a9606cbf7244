{#- Completeness: fails for every row in which the column is null or blank. `max_share` of the rows may be. -#}
{% test has_text(model, column_name, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'completeness'}) }}
{{ quality_rows(model, "ifnull(trim(" ~ column_name ~ "), '') = ''", max_share) }}

{% endtest %}
