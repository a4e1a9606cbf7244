{#- Consistency, or any SQL of one's own: fails for every row in which the expression is false; null passes. -#}
{% test expression_holds(model, expression, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'consistency'}) }}
{{ quality_rows(model, 'not (' ~ expression ~ ')', max_share) }}

{% endtest %}
