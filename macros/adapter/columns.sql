{#- What columns a table has: dbt asks BigQuery for them four times a build of a model, and one answer is enough. -#}

{#- The columns of the model's own table as they were when its build began. -#}
{% macro columns_held() -%}
    {%- set answers, question = answers_of_this_run(), 'columns of ' ~ this -%}
    {%- if question not in answers -%}
        {%- do answers.update({question: adapter.get_columns_in_relation(this)}) -%}
    {%- endif -%}
    {{ return(answers[question]) }}
{%- endmacro %}


{#-
    How the columns of what is merged differ from those of the table. dbt asks for both; but what is merged into a model
    with a contract was made with just the columns of the contract. Where the table has columns of these names, nothing is to
    be appended, and a column whose type has changed is left to the merge, which refuses it, as before. Every other case is dbt's.
-#}
{% macro bigquery__check_for_schema_changes(source_relation, target_relation) -%}
    {%- if config.get('on_schema_change') == 'append_new_columns' and config.get('contract').enforced -%}
        {%- set held = columns_held() -%}
        {%- if held | map(attribute='name') | sort == model.columns | sort -%}
            {{ return({
                'schema_changed': false,
                'source_not_in_target': [],
                'target_not_in_source': [],
                'source_columns': held,
                'target_columns': held,
                'new_target_types': [],
            }) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(default__check_for_schema_changes(source_relation, target_relation)) }}
{%- endmacro %}


{#- Adds columns to a snapshot; dbt reads its table even where there are none to add. -#}
{% macro bigquery__create_columns(relation, columns) -%}
    {%- if columns -%}
        {%- do adapter.alter_table_add_columns(relation, columns) -%}
    {%- endif -%}
{%- endmacro %}
