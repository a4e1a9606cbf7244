{#-
    Zones are datasets. Where an environment has a project of its own (local, staging, production) a zone's
    dataset is called like the zone; in dev, developers share a project, so each prefixes theirs.
-#}
{% macro generate_schema_name(custom_schema_name=none, node=none) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- elif target.name in ('local', 'staging', 'production') -%}
        {{ custom_schema_name | trim }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
