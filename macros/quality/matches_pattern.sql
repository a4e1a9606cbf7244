{#- Validity: fails for every text that does not match the whole RE2 pattern; null is no value. -#}
{% test matches_pattern(model, column_name, pattern, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{{ quality_rows(model, "not regexp_contains(" ~ column_name ~ ", r'^(?:" ~ pattern ~ ")$')", max_share) }}

{% endtest %}
