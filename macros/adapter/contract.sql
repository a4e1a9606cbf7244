{#-
    dbt compares the columns of a query with its contract in two queries of their own, before every build. Where a table
    stands that is once too often: the DDL of the table that takes its place, or of the temporary one that is merged into it,
    names every column with its type, and refuses what does not fit; a merge into the table itself keeps to the types it has.
    The first build and every full refresh compare; so does every build of a view, whose DDL names none.
-#}
{% macro bigquery__get_assert_columns_equivalent(sql) -%}
    {%- set standing = load_relation(this) -%}
    {%- if standing is none or not standing.is_table or should_full_refresh() -%}
        {{ assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}
