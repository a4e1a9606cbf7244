{#- The tables of the quality engine. They lie in the audit dataset, one row per fact, and are only added to. -#}

{#- The qualified name of one of them. -#}
{% macro quality_table(name) -%}
    {{ return(api.Relation.create(database=target.database, schema=generate_schema_name('audit'), identifier=name)) }}
{%- endmacro %}


{#- One of them if it is there, else none. -#}
{% macro quality_relation(name) -%}
    {%- set table = quality_table(name) -%}
    {{ return(adapter.get_relation(database=table.database, schema=table.schema, identifier=name)) }}
{%- endmacro %}


{#- Columns by table, with their types. -#}
{% macro quality_tables() -%}
    {%- set run = {'run_id': 'string', 'run_started_at': 'timestamp', 'recorded_at': 'timestamp'} -%}
    {%- set results = dict(run, **quality_result_columns()) -%}
    {%- do results.update({'failing_share': 'float64'}) -%}
    {{ return({
        'quality_results': results,
        'quality_failures': dict(run, rule='string', failing_key='string'),
        'quality_scores': dict(
            run, zone='string', scope='string', name='string', score='float64', rules='int64', failed_rules='int64',
            warned_rules='int64'
        ),
    }) }}
{%- endmacro %}


{#-
    Makes the tables that are missing, and adds the columns they lack; the scores' comes last, so that where it is the
    others are.
-#}
{% macro quality_make_tables() -%}
    {%- if quality_relation('quality_scores') is not none -%}
        {%- for name, types in quality_tables().items() -%}
            {%- set columns = {} -%}
            {%- for column, type in types.items() -%}{%- do columns.update({column: [type, none]}) -%}{%- endfor -%}
            {%- do audit_add_columns(quality_table(name), columns) -%}
        {%- endfor -%}
    {%- else -%}
        {%- do audit_make_dataset(quality_table('quality_scores')) -%}
        {%- for name, columns in quality_tables().items() -%}
            {%- call statement('create_' ~ name) -%}
create table if not exists {{ quality_table(name) }}
partition by date(run_started_at)
options (
    description = 'Written by the quality engine after every build; see docs/guides/quality.md.',
    partition_expiration_days = {{ var('quality_history_days') }}
)
as
select
    {%- for column, type in columns.items() %}
    cast(null as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from (select 1)
where false
            {%- endcall -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
