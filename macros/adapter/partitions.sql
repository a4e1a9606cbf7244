{#-
    Which ranges of a table's partitions a batch touches, as constants: BigQuery prunes partitions by constants, not by what
    a join finds, see https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression.
    For tables partitioned by ranges of an integer that belongs to their key and therefore never changes.
-#}

{#-
    The ranges of the partitions of a model, as {field, interval}; none when it is not partitioned by ranges.
-#}
{% macro partition_ranges() -%}
    {%- set partition_by = config.get('partition_by') or {} -%}
    {%- if partition_by.get('range') -%}
        {{ return({'field': partition_by['field'], 'interval': partition_by['range']['interval'] | int}) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}


{#-
    The query that says what of each partition is touched: the first and the last key, and how many rows are held.

    `partitions`: what `partition_ranges` says. `rows`: a relation, or a query in parentheses. `table`: the partitioned one.
    `measures`: more columns, over all rows of a partition. Keys that are null have a row of their own.
-#}
{% macro partitions_touched(partitions, rows, table, measures='') -%}
    select
        div({{ partitions.field }}, {{ partitions.interval }}) as partition_number,
        min({{ partitions.field }}) as first_key,
        max({{ partitions.field }}) as last_key,
        {{ measures }}
        (select count(*) from {{ table }}) as held_rows
    from {{ rows }} as touched
    group by partition_number
    order by partition_number
{%- endmacro %}


{#-
    The condition that a key is one of those touched; none while the table is too small for it to be worth a statement of
    its own. Of many ranges it makes one: a statement has its limits, and a batch all over the table touches all of it.

    `partitions`: what `partition_ranges` says. `touched`: the rows of `partitions_touched`. `prefix`: of the column.
-#}
{% macro partition_condition(partitions, touched, prefix='') -%}
    {%- set column = prefix ~ partitions.field -%}
    {%- set known = [] -%}
    {%- for row in touched if row['partition_number'] is not none -%}
        {%- do known.append(row) -%}
    {%- endfor -%}
    {%- set least_rows = whole_number('prune_from_rows', 0) -%}
    {%- if not known or known[0]['held_rows'] < least_rows -%}
        {{ return(none) }}
    {%- endif -%}
    {%- if known | length > 50 -%}
        {{ return(column ~ ' between ' ~ (known | first)['first_key'] ~ ' and ' ~ (known | last)['last_key']) }}
    {%- endif -%}
    {%- set ranges = [] -%}
    {%- for row in known -%}
        {%- do ranges.append(column ~ ' between ' ~ row['first_key'] ~ ' and ' ~ row['last_key']) -%}
    {%- endfor -%}
    {{ return('(' ~ ranges | join(' or ') ~ ')') }}
{%- endmacro %}
