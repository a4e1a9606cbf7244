{#-
    Which raw rows a run reads: those that landed since the newest row it applied, less an overlap. The bound is
    a literal, so that BigQuery prunes partitions by it; a first run, or a full refresh, reads everything.
-#}

{% macro cdc_window(watermark=none) -%}
    _ingestion_ts >= timestamp_sub(
        timestamp '{{ watermark or cdc_watermark() }}', interval {{ var('cdc_overlap_minutes') | int }} minute
    )
{%- endmacro %}


{#-
    The newest `_ingestion_ts` of this model's table, as text. Never later than now: a row stamped by a clock
    that runs ahead must not hide those that land after it.
-#}
{% macro cdc_watermark() -%}
    {%- if not (execute and is_incremental()) -%}
        {{ return(cdc_beginning()) }}
    {%- endif -%}
    {%- set newest = run_query(
        "select format_timestamp('%F %H:%M:%E6S+00:00', least(max(_ingestion_ts), current_timestamp())) from " ~ this
    ).columns[0].values()[0] -%}
    {{ return(newest or cdc_beginning()) }}
{%- endmacro %}


{% macro cdc_beginning() -%}
    {{ return('1970-01-02 00:00:00+00:00') }}
{%- endmacro %}


{#- How far `str_truncates` has read each table, by its marks: a mapping to timestamps, empty on a first run. -#}
{% macro cdc_marks() -%}
    {%- set marks = {} -%}
    {%- if execute and is_incremental() -%}
        {%- set rows = run_query(
            "select table_name, format_timestamp('%F %H:%M:%E6S+00:00', _ingestion_ts) as read_until from " ~ this
            ~ " where _op = 'READ'"
        ) -%}
        {%- for row in rows -%}
            {%- do marks.update({row['table_name']: row['read_until']}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(marks) }}
{%- endmacro %}


{% macro cdc_window_since_mark(marks, table) -%}
    {{ cdc_window(marks.get(table, cdc_beginning())) }}
{%- endmacro %}
