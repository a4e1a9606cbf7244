{#-
    dbt compares the columns of a query with its contract in two queries of their own, before every build. In an
    incremental run that is once too often: the table stands, and the DDL of the temporary table, which names every
    column with its type, refuses what does not fit. The first build and every full refresh compare.
-#}
{% macro bigquery__get_assert_columns_equivalent(sql) -%}
    {%- if not is_incremental() -%}
        {{ assert_columns_equivalent(sql) }}
    {%- endif -%}
{%- endmacro %}
