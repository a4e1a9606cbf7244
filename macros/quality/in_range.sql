{#- Validity: fails for every value below `min` or above `max`, which are SQL expressions, and for NaN; null is no value. -#}
{% test in_range(model, column_name, min=none, max=none, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{{ quality_rows(model, quality_outside(column_name, min, max), max_share) }}

{% endtest %}
