{#-
    The merge of incremental models, as dbt writes it, but where a model says `meta: merge_update_when`, a row that
    is there already is updated only under that condition. Everything else, and every other model, is left to dbt.
-#}
{% macro bigquery__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set merge = default__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates) -%}
    {%- set condition = config.get('meta', {}).get('merge_update_when') -%}
    {%- if not condition -%}
        {{ return(merge) }}
    {%- endif -%}
    {%- set clause = 'when matched then update' -%}
    {%- if merge.count(clause) != 1 -%}
        {{ exceptions.raise_compiler_error("dbt writes its merge in another way than this version of bigquery__get_merge_sql knows; review macros/adapter/merge.sql") }}
    {%- endif -%}
    {{ return(merge | replace(clause, 'when matched and (' ~ condition ~ ') then update')) }}
{%- endmacro %}
