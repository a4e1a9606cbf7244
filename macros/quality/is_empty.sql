{#- Fails for every row there is; bound it with `config: where:`. -#}
{% test is_empty(model) %}

select *
from {{ model }}

{% endtest %}
