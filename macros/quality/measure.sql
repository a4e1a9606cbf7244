{#-
    What every rule of ours returns: one row that measures. `failing_rows` of `checked_rows` break the rule;
    `violations` is the same number, or 0 while the tolerated share holds; `failing_keys` names the first of them.
    A rule is one scan: dbt reads the three numbers only, and no engine computes the keys until they are asked for.
-#}

{#- How dbt counts the failures of a rule, and how the materialization knows one. -#}
{% macro quality_fail_calc() -%}
    {{ return('sum(violations)') }}
{%- endmacro %}


{#- A rule that judges each row by itself: the condition is true for a row that fails. -#}
{% macro quality_rows(model, fails, max_share=0) -%}
with

counted as (

    select
        countif({{ fails }}) as failing_rows,
        count(*) as checked_rows
    from {{ model }}

)

{{ quality_verdict('counted', max_share) }},
    array(select {{ quality_key() }} from {{ model }} where {{ fails }} limit {{ quality_keys_kept() }}) as failing_keys
from counted
{%- endmacro %}


{#- The three numbers of a rule, from a CTE that has `failing_rows` and `checked_rows`. -#}
{% macro quality_verdict(counted, max_share=0) -%}
select
    {{ counted }}.failing_rows,
    {{ counted }}.checked_rows,
    if({{ counted }}.failing_rows > {{ max_share }} * {{ counted }}.checked_rows, {{ counted }}.failing_rows, 0) as violations
{%- endmacro %}


{#- How many failing keys are kept of a rule. -#}
{% macro quality_keys_kept() -%}
    {{ return(20) }}
{%- endmacro %}


{#-
    The key of a row as text, from the given columns, else from the tested table's primary key, else its first column.
    A column with a PII class is shown as `privacy_reference` has it: as a token, or as its class.
-#}
{% macro quality_key(columns=none) -%}
    {%- set parts = [] -%}
    {%- for name in columns or quality_key_columns(quality_tested()) -%}
        {%- do parts.append(quality_shown(name)) -%}
    {%- endfor -%}
    {{ return(parts[0] if parts | length == 1 else 'concat(' ~ parts | join(", '|', ") ~ ')') }}
{%- endmacro %}


{#-
    A value as text that reports may show: by `privacy_reference` when it is made of a column with a PII class, else as it
    is; null as a word. `expression`: what it is made of, where `sql` only names the result.
-#}
{% macro quality_shown(sql, expression=none) -%}
    {%- set columns = quality_tested().get('columns', {}) -%}
    {%- for word in modules.re.findall('[a-z_][a-z0-9_]*', (expression or sql) | lower) if word in columns -%}
        {%- set pii = columns[word].get('config', {}).get('meta', {}).get('pii') -%}
        {%- if pii -%}
            {{ return('ifnull(' ~ privacy_reference(sql, pii) ~ ", 'null')") }}
        {%- endif -%}
    {%- endfor -%}
    {{ return('ifnull(cast(' ~ sql ~ " as string), 'null')") }}
{%- endmacro %}


{#- The columns by which a row of a node is named in reports. -#}
{% macro quality_key_columns(tested) -%}
    {%- for constraint in tested.get('constraints', []) if constraint.type == 'primary_key' -%}
        {{ return(constraint.columns | list) }}
    {%- endfor -%}
    {%- if tested.resource_type == 'source' -%}
        {{ return(['_event_id']) }}
    {%- endif -%}
    {{ return((tested.get('columns', {}).keys() | list)[:1] or ["''"]) }}
{%- endmacro %}


{#-
    The node that the present test is declared on: a model, snapshot, seed or source; empty while dbt only parses. A
    test of several tables says by `meta: zone` which zone's it is.
-#}
{% macro quality_tested(test=none) -%}
    {%- set test = test or model -%}
    {%- if not execute -%}
        {{ return({}) }}
    {%- endif -%}
    {%- set attached = test.attached_node -%}
    {%- if attached in graph.nodes -%}
        {{ return(graph.nodes[attached]) }}
    {%- endif -%}
    {%- set zone = test.config.meta.get('zone') -%}
    {%- for needed in test.depends_on.nodes if not zone or graph.nodes.get(needed, {}).get('config', {}).get('meta', {}).get('zone') == zone -%}
        {%- if needed in graph.sources -%}
            {{ return(graph.sources[needed]) }}
        {%- elif needed in graph.nodes -%}
            {{ return(graph.nodes[needed]) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return({}) }}
{%- endmacro %}


{#- The name of the present test. -#}
{% macro quality_rule_name() -%}
    {{ return(model.name) }}
{%- endmacro %}
