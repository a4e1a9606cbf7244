{#-
    Casts out of a row image held as JSON text. Each accepts what Debezium writes and what the API (or any
    ISO 8601 writer) writes, and gives null for what it cannot read, so that one bad value never stops a run.
    Wire formats: https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types

    Numbers are read as text, so they keep every digit. The marker that stands for a value the event does not have (an
    unchanged TOAST column, a field that an update of a MongoDB document did not touch) gives null, whatever the type;
    `cdc_current_state` puts the former value in its place.

    `columns`: a list that takes note of the column, for `cdc_current_state`. `image`: what holds the JSON text.
-#}

{% macro cdc_cast(column, data_type, columns=none, image='_image') -%}
    {%- if columns is not none -%}
        {%- do columns.append({
            'name': column,
            'is_omissible': data_type in cdc_omissible_types(),
        }) -%}
    {%- endif -%}
    {%- set text = "json_value(" ~ image ~ ", '$." ~ column ~ "')" -%}
    {%- if data_type == 'string' -%}
        nullif({{ text }}, '{{ cdc_unavailable_marker() }}')
    {%- elif data_type == 'json' -%}
        {{ cdc_cast_json(column, image) }}
    {%- elif data_type == 'array<string>' -%}
        {{ cdc_cast_array(column, 'string', image) }}
    {%- elif data_type == 'array<int64>' -%}
        {{ cdc_cast_array(column, 'int64', image) }}
    {%- elif data_type in cdc_scalar_types().split() -%}
        {{ cdc_cast_scalar(text, data_type) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error("cdc_cast: column " ~ column ~ " has the type " ~ data_type ~ ", which no cast is written for") }}
    {%- endif -%}
{%- endmacro %}


{#- The types that `cdc_cast_scalar` casts to. -#}
{% macro cdc_scalar_types() -%}
    int64 numeric bignumeric float64 bool bytes date time datetime timestamp
{%- endmacro %}


{#- The text of a scalar as a value of its type; the marker, being the text of none, gives null like all that cannot be read. -#}
{% macro cdc_cast_scalar(text, data_type) -%}
    {%- if data_type == 'numeric' -%}
        {#- the parameters say what NUMERIC means anyway; an engine whose default is narrower would round -#}
        safe_cast({{ text }} as numeric(38, 9))
    {%- elif data_type == 'bool' -%}
        {{ cdc_cast_bool(text) }}
    {%- elif data_type == 'bytes' -%}
        safe.from_base64(nullif({{ text }}, '{{ cdc_unavailable_marker_base64() }}'))
    {%- elif data_type == 'date' -%}
        {{ cdc_cast_date(text) }}
    {%- elif data_type == 'time' -%}
        {{ cdc_cast_time(text) }}
    {%- elif data_type == 'datetime' -%}
        {{ cdc_cast_datetime(text) }}
    {%- elif data_type == 'timestamp' -%}
        {{ cdc_cast_timestamp(text) }}
    {%- else -%}
        safe_cast({{ text }} as {{ data_type }})
    {%- endif -%}
{%- endmacro %}


{% macro cdc_cast_bool(text) -%}
    {#- `1` and `t` are how MySQL and PostgreSQL's text protocol say it -#}
    case
        when lower({{ text }}) in ('true', 't', '1') then true
        when lower({{ text }}) in ('false', 'f', '0') then false
    end
{%- endmacro %}


{% macro cdc_cast_date(text) -%}
    {#- days since 1970 as a number, or a date, or the date part of a timestamp; the years 1 to 9999 -#}
    case
        when not regexp_contains({{ text }}, r'^-?[0-9]+$') then safe_cast(substr({{ text }}, 1, 10) as date)
        when safe_cast({{ text }} as int64) between -719162 and 2932896
            then date_from_unix_date(safe_cast({{ text }} as int64))
    end
{%- endmacro %}


{% macro cdc_cast_time(text) -%}
    {#- microseconds since midnight as a number, or HH:MM:SS with a fraction; a zone is dropped -#}
    case
        when not regexp_contains({{ text }}, r'^[0-9]+$')
            then safe_cast(regexp_extract({{ text }}, r'^[0-9:]{5,8}(?:[.][0-9]{1,6})?') as time)
        when safe_cast({{ text }} as int64) between 0 and 86399999999
            then time_add(time '00:00:00', interval safe_cast({{ text }} as int64) microsecond)
    end
{%- endmacro %}


{% macro cdc_cast_datetime(text) -%}
    {#- microseconds since 1970 as a number, or ISO 8601 without a zone (a trailing Z is dropped) -#}
    case
        when not regexp_contains({{ text }}, r'^-?[0-9]+$') then safe_cast(rtrim({{ cdc_cut_to_micros(text) }}, 'Zz') as datetime)
        else datetime({{ cdc_timestamp_from_micros(text) }})
    end
{%- endmacro %}


{% macro cdc_cast_timestamp(text) -%}
    {#- microseconds since 1970 as a number, or ISO 8601; without a zone it is UTC -#}
    case
        when not regexp_contains({{ text }}, r'^-?[0-9]+$') then safe_cast({{ cdc_cut_to_micros(text) }} as timestamp)
        else {{ cdc_timestamp_from_micros(text) }}
    end
{%- endmacro %}


{% macro cdc_timestamp_from_micros(text) -%}
    {#- the years 1 to 9999, else null -#}
    timestamp_micros(if(
        safe_cast({{ text }} as int64) between -62135596800000000 and 253402300799999999, safe_cast({{ text }} as int64), null
    ))
{%- endmacro %}


{% macro cdc_cut_to_micros(text) -%}
    {#- GoogleSQL refuses a seventh digit of a second -#}
    regexp_replace({{ text }}, r'([.][0-9]{6})[0-9]+', r'\1')
{%- endmacro %}


{% macro cdc_cast_json(column, image) -%}
    {#- text that holds JSON (Debezium), or an object, array or string as it stands (API) -#}
    coalesce(
        safe.parse_json({{ cdc_json_text(column, image) }}, wide_number_mode => 'round'),
        safe.parse_json({{ cdc_json_query(column, image) }}, wide_number_mode => 'round')
    )
{%- endmacro %}


{% macro cdc_json_query(column, image) -%}
    {#- an absent row value is SQL NULL, not the JSON value null; engines differ on which of them this gives -#}
    nullif(
        nullif(json_query({{ image }}, '$.{{ column }}'), '"{{ cdc_unavailable_marker() }}"'), 'null'
    )
{%- endmacro %}


{% macro cdc_json_text(column, image) -%}
    {#- what a scalar says, or the text of an object or array -#}
    coalesce(
        nullif(json_value({{ image }}, '$.{{ column }}'), '{{ cdc_unavailable_marker() }}'),
        {{ cdc_json_query(column, image) }}
    )
{%- endmacro %}


{% macro cdc_cast_array(column, element_type, image) -%}
    {#-
        An array, or text that holds one. Never null, like every ARRAY in BigQuery once stored; null elements
        cannot be stored, and are left out.
    -#}
    array(
        select safe_cast(element as {{ element_type }})
        from unnest(safe.json_value_array({{ cdc_json_text(column, image) }}, '$')) as element with offset as position
        where
            safe_cast(element as {{ element_type }}) is not null
            and element != '{{ cdc_unavailable_marker() }}'
        order by position
    )
{%- endmacro %}


{% macro cdc_unavailable_marker() -%}
    {#- Debezium's `unavailable.value.placeholder` -#}
    __debezium_unavailable_value
{%- endmacro %}


{% macro cdc_unavailable_marker_base64() -%}
    X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==
{%- endmacro %}


{#- Types that PostgreSQL can store out of line, and Debezium therefore leave out; see also `cdc_omits_any_column`. -#}
{% macro cdc_omissible_types() -%}
    {{ return(['string', 'bytes', 'json', 'array<string>', 'array<int64>']) }}
{%- endmacro %}
