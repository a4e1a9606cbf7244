{#- Validity: fails for every value that is not one of the given texts; null is no value. -#}
{% test one_of(model, column_name, values, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{{ quality_rows(model, column_name ~ " not in ('" ~ values | join("', '") ~ "')", max_share) }}

{% endtest %}
