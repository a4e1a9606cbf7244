{#-
    Model names are unique over the project, tables only within their dataset: `str_members` and `ref_members`
    are both called `members`. Snapshots keep their `snp_`, for they are no picture of the present.
-#}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name -%}
        {{ custom_alias_name | trim }}
    {%- elif node.resource_type == 'model' and node.name[:4] in ('str_', 'ref_') -%}
        {{ node.name[4:] }}
    {%- else -%}
        {{ node.name }}
    {%- endif -%}
{%- endmacro %}
