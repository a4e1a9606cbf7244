{#- Tables that somebody is kept out of are filled anew where they stand: a table that is replaced has lost its policies. -#}

{#-
    As dbt makes tables, but for those with policy tags or row access policies that are there already: BigQuery keeps both
    through DML and drops them with `create or replace table`, which would show everything to everybody until the post-hook
    has run. A table whose columns have changed is replaced all the same.
    See https://cloud.google.com/bigquery/docs/using-row-level-security-with-features
-#}
{% macro bigquery__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {%- if language == 'sql' and not temporary and privacy_is_refilled(relation) -%}
        {%- do get_assert_columns_equivalent(compiled_code) -%}
        {{ privacy_refill(relation, model.columns | list, compiled_code) }}
    {%- else -%}
        {{ dbt.bigquery__create_table_as(temporary, relation, compiled_code, language) }}
    {%- endif -%}
{%- endmacro %}


{#- Whether the table of the present model stands, has the columns it is going to have, and is somebody kept out of. -#}
{% macro privacy_is_refilled(relation) -%}
    {%- if not execute or model.resource_type != 'model' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- if not privacy_row_access_policies(model.name) and not privacy_tagged_columns(model.columns, var('privacy_policy_tags')) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set held = adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
    {%- if held is none or not held.is_table -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(adapter.get_columns_in_relation(held) | map(attribute='name') | list == model.columns | list) }}
{%- endmacro %}


{#-
    The statement that gives a table the rows of a query instead of those it has. One statement, so that whoever reads it
    sees the former rows or the new ones, and a condition that never holds, so that no row is looked for in another.
    See https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement (constant false predicate).
-#}
{% macro privacy_refill(relation, columns, compiled_code) -%}
    merge into {{ relation }} as held
    using (
        {{ compiled_code }}
    ) as made
    on false
    when not matched by source then delete
    when not matched then
        insert ({{ columns | join(', ') }})
        values ({{ columns | join(', ') }})
{%- endmacro %}
