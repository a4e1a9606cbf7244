{#- Validity: fails for every row there is; bound it with `config: where:`. -#}
{% test is_empty(model) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{{ quality_rows(model, 'true') }}

{% endtest %}
