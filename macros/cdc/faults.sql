{#-
    Values that a raw row tells and that do not cast: what they are, why they do not, and which raw rows have not been asked
    yet. The model `str_quarantined_values` puts them together. Whether a value casts is asked of the macros that cast it, so
    that quarantine and the structure tables cannot disagree.
-#}

{#-
    What a raw row tells of each column of its table, as an array of {column_name, data_type, pii, json_text}: the key by the
    image it is read from, all else by the image of the row. `json_text` is null for a column the image does not have.
-#}
{% macro cdc_row_values(table) -%}
    array<struct<column_name string, data_type string, pii string, json_text string>>[
        {%- for column in cdc_contract(table) %}
        (
            '{{ column.name }}',
            '{{ column.data_type }}',
            {{ "'" ~ column.pii ~ "'" if column.pii else 'null' }},
            json_query({{ '_key_image' if column.is_key else '_image' }}, '$.{{ column.name }}')
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}


{#- Whether a value is told at all: null is none, and the marker says that the event does not have it. -#}
{% macro cdc_is_told(json_text) -%}
    {{ json_text }} not in ('null', '"{{ cdc_unavailable_marker() }}"', '"{{ cdc_unavailable_marker_base64() }}"')
{%- endmacro %}


{#-
    Why a value that is told does not cast to its type; null when it does. JSON takes every value.

    `told`: a CTE with `data_type`, `json_text`, and `text`: what a scalar says, null for an object or array.
-#}
{% macro cdc_fault(told) -%}
    {%- set text, data_type = told ~ '.text', told ~ '.data_type' -%}
    case
        when starts_with({{ data_type }}, 'array<') then {{ _cdc_fault_of_array(told) }}
        when {{ data_type }} = 'json' then null
        when {{ text }} is null then 'is_no_scalar'
        when
            case {{ data_type }}
                {%- for scalar in cdc_scalar_types().split() %}
                when '{{ scalar }}' then {{ cdc_cast_scalar(text, scalar) }} is not null
                {%- endfor %}
                else true
            end
            then null
        -- dates and times come as numbers, too
        when {{ data_type }} not in ('bool', 'bytes') and regexp_contains({{ text }}, r'^[+-]?[0-9]+$') then 'out_of_range'
        when
            {{ data_type }} in ('numeric', 'bignumeric', 'float64')
            and regexp_contains({{ text }}, r'^[+-]?[0-9]+[.]?[0-9]*([eE][+-]?[0-9]+)?$')
            then 'out_of_range'
        when
            {{ data_type }} in ('date', 'datetime', 'timestamp')
            and regexp_contains({{ text }}, r'^[0-9]{4}-[0-9]{2}-[0-9]{2}')
            and safe_cast(substr({{ text }}, 1, 10) as date) is null
            then 'invalid_date'
        else 'does_not_cast'
    end
{%- endmacro %}


{#- An array may come as the text of one; `cdc_cast_array` leaves out the elements that do not cast. -#}
{% macro _cdc_fault_of_array(told) -%}
    {%- set elements = "safe.json_value_array(ifnull(" ~ told ~ ".text, " ~ told ~ ".json_text), '$')" -%}
    case
            when {{ elements }} is null then 'is_no_array'
            when {{ told }}.data_type = 'array<int64>' and exists(
                select 1
                from unnest({{ elements }}) as element
                where safe_cast(element as int64) is null and element != '{{ cdc_unavailable_marker() }}'
            ) then 'element_does_not_cast'
        end
{%- endmacro %}


{#-
    The conditions by which `str_quarantined_values` reads raw, of each table that has something to read: the ten minutes of
    which `str_truncates` has found other rows than this model has read. It counts what it reads in the statement that reads it, so that no build, whichever
    models it runs and however it ends, hides a row from it. `positions`: the table of `str_truncates`.
-#}
{% macro cdc_unread(positions) -%}
    {%- set conditions = {} -%}
    {%- if execute and is_incremental() and load_relation(positions) -%}
        {%- for table, intervals in run_query(_cdc_unread_query(positions)).rows | groupby('table_name') -%}
            {%- do conditions.update({table: _cdc_within(intervals | list)}) -%}
        {%- endfor -%}
    {%- else -%}
        {%- for table in cdc_tables() -%}
            {%- do conditions.update({table: "_ingestion_ts >= timestamp '" ~ cdc_beginning() ~ "'"}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(conditions) }}
{%- endmacro %}


{% macro _cdc_unread_query(positions) -%}
    with

    unread as (

        select
            found.table_name,
            found._ingestion_ts as starts_at
        from {{ positions }} as found
        left join {{ this }} as asked
            on
                found.table_name = asked.table_name
                and found._event_id = asked._event_id
                and asked._op = 'READ'
        where
            found._op = 'READ'
            and found.found_count > 0
            and (
                asked.read_count is null
                or asked.read_count != found.found_count
                or asked.read_micros != found.found_micros
            )

    ),

    -- neighbours share the distance to their rank
    ranked as (

        select
            table_name,
            starts_at,
            unix_seconds(starts_at) - 600 * row_number() over (partition by table_name order by starts_at) as island
        from unread

    )

    select
        table_name,
        {{ _cdc_instant('min(starts_at)') }} as first,
        {{ _cdc_instant('timestamp_add(max(starts_at), interval 10 minute)') }} as last
    from ranked
    group by table_name, island
    order by table_name, first
{%- endmacro %}


{#- The condition of some intervals, in order; very many are read as one. -#}
{% macro _cdc_within(intervals) -%}
    {%- set bounds = [] -%}
    {%- for interval in intervals -%}
        {%- do bounds.append((interval['first'], interval['last'])) -%}
    {%- endfor -%}
    {%- if bounds | length > 20 -%}
        {%- set bounds = [(bounds[0][0], bounds[-1][1])] -%}
    {%- endif -%}
    {%- set ranges = [] -%}
    {%- for first, last in bounds -%}
        {%- do ranges.append("(_ingestion_ts >= timestamp '" ~ first ~ "' and _ingestion_ts < timestamp '" ~ last ~ "')") -%}
    {%- endfor -%}
    {{ return('(' ~ ranges | join(' or ') ~ ')') }}
{%- endmacro %}
