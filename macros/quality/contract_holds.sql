{#-
    Holds the live rows of a structure table against the contract of its source, in one scan. Fails with a row per
    broken promise: a column that is null though the source never leaves it so (which is also what becomes of a
    value that cannot be cast), a value outside the enumeration, a value the source left out and nobody has told yet.
-#}
{% test contract_holds(model, table) %}

{%- set checks = ["struct('_carried' as column_name, 'was never told' as problem, countif(_carried like '%:\"\"%') as row_count)"] -%}
{%- for column in cdc_contract(table) -%}
    {%- if not (column.is_nullable or column.is_key or column.data_type.startswith('array')) -%}
        {%- do checks.append(
            "struct('" ~ column.name ~ "' as column_name, 'is null' as problem, countif("
            ~ column.name ~ " is null) as row_count)"
        ) -%}
    {%- endif -%}
    {%- if column.allowed_values -%}
        {%- do checks.append(
            "struct('" ~ column.name ~ "' as column_name, 'is not an allowed value' as problem, countif("
            ~ column.name ~ " not in ('" ~ column.allowed_values | join("', '") ~ "')) as row_count)"
        ) -%}
    {%- endif -%}
{%- endfor %}

with

checked as (

    select
        [
            {{ checks | join(',\n            ') }}
        ] as problems
    from {{ model }}
    where not is_deleted

)

select
    problem.column_name,
    problem.problem,
    problem.row_count
from checked
cross join unnest(checked.problems) as problem
where problem.row_count > 0

{% endtest %}
