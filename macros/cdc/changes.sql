{#-
    From raw rows to the changes a model applies: what cannot be read or ordered left out (the model
    `str_quarantine` shows it, with the reason), the key cast, and of every key only what its present state needs:
    the newest change and, while those hold gaps, the ones before it.

    `rows`: a CTE of raw rows. `key`: the columns of the primary key with their types. `table` and `erasures`: as
    `is_erased` takes them, for a model that is not the table's own.
-#}
{% macro cdc_changes(rows, key, table=none, erasures=none) -%}
    with

    -- the image: the row after the change, or before it when it was deleted
    readable as (

        select
            {{ cdc_raw_metadata() }},
            {{ cdc_json_object(cdc_held_image("if(_op = 'DELETE', before, payload)")) }} as _image,
            {{ cdc_json_object('coalesce(_key, payload, before)') }} as _key_image
        from {{ rows }}
        where _op in ('INSERT', 'UPDATE', 'DELETE', 'SNAPSHOT') and _source_position is not null

    ),

    keyed as (

        select
            {%- for column, data_type in key.items() %}
            {{ cdc_cast(column, data_type, image='_key_image') }} as {{ column }},
            {%- endfor %}
            {{ cdc_raw_metadata() }},
            _image,
            {{ cdc_order_key('readable', "_op = 'DELETE'") }} as _order_key,
            {{ cdc_delivery_key('readable') }} as _delivery_key,
            -- many sources tell no more than the key of what they delete
            _op != 'DELETE'
            or ifnull(array_length(regexp_extract_all(_image, r'"[A-Za-z0-9_]+"\s*:\s*[^n\s]')), 0) > {{ key | length }} as _has_image,
            -- the names of columns that hold the marker: as text, in base64, or as the first of an array
            regexp_extract_all(
                _image,
                r'"([A-Za-z0-9_]+)"\s*:\s*(?:\[\s*)?"(?:{{ cdc_unavailable_marker() }}|{{ cdc_unavailable_marker_base64() }})"'
            ) as _omitted
        from readable
        where
            (_op = 'DELETE' or _image is not null)
            -- who was erased stays erased, whatever lands again
            and not {{ is_erased('_image', table, erasures) }}

    )

    select
        {{ key | join(', ') }},
        {{ cdc_raw_metadata() }},
        _image,
        _order_key,
        _delivery_key,
        case
            when not _has_image then '{"_row":""}'
            when array_length(_omitted) > 0
                then concat('{', array_to_string(array(select concat('"', name, '":""') from unnest(_omitted) as name), ','), '}')
        end as _carried
    from keyed
    where {{ key | join(' is not null and ') }} is not null
    -- newest first, down to the newest that leaves nothing out
    qualify
        count(if(_has_image and ifnull(array_length(_omitted), 0) = 0, 1, null)) over (
            partition by {{ key | join(', ') }}
            order by _order_key desc, _delivery_key desc
            rows between unbounded preceding and 1 preceding
        ) = 0
{%- endmacro %}


{#- What structure reads of a raw row. -#}
{% macro cdc_raw_columns() -%}
    payload,
    before,
    {{ cdc_raw_metadata() }}
{%- endmacro %}


{#- The columns of a raw row that say where it comes from and where it belongs. -#}
{% macro cdc_raw_metadata() -%}
    _op,
    _key,
    _source_system,
    _source_ts,
    _source_position,
    _source_sequence,
    _event_id,
    _ingestion_ts
{%- endmacro %}


{#- What `decoded` of every structure model hands on beside its columns. -#}
{% macro cdc_change_metadata() -%}
    {{ cdc_raw_metadata() }},
    _order_key,
    _delivery_key,
    _carried
{%- endmacro %}


{#-
    An image, or null when it was too large and the row holds a pointer to it (`ingest/oversize.py`). Such a change
    cannot be applied, for its columns lie outside BigQuery; a delete can, and keeps what is known of the row.
-#}
{% macro cdc_held_image(image) -%}
    if(starts_with({{ image }}, '{"millrace_oversize":'), null, {{ image }})
{%- endmacro %}


{#- The text when it holds a JSON object, else null. -#}
{% macro cdc_json_object(text) -%}
    if(json_type(safe.parse_json({{ text }}, wide_number_mode => 'round')) = 'object', {{ text }}, null)
{%- endmacro %}


{#-
    Why `cdc_changes` leaves a raw row out. Null when it does not, and for what is no change of a row: truncates, and
    the tombstones that follow deletes, which are kept as evidence only.

    `key_can_be_read`: a column that says what `cdc_key_can_be_read` says.
-#}
{% macro cdc_quarantine_reason(key_can_be_read) -%}
    case
        when _op not in ('INSERT', 'UPDATE', 'DELETE', 'SNAPSHOT', 'TRUNCATE') then 'unknown_operation'
        when _op = 'DELETE' and _op_inferred and payload is null and _source_position is null then null
        when _source_position is null then 'no_position'
        when _op = 'TRUNCATE' then null
        when _op != 'DELETE' and payload is null then 'no_payload'
        when _op != 'DELETE' and {{ cdc_held_image('payload') }} is null then 'payload_is_oversize'
        when _op != 'DELETE' and {{ cdc_json_object('payload') }} is null then 'payload_is_no_json_object'
        when not {{ key_can_be_read }} then 'key_cannot_be_read'
    end
{%- endmacro %}


{#- Whether every column of a table's key can be cast from the raw row. -#}
{% macro cdc_key_can_be_read(table) -%}
    {%- set image = cdc_json_object('coalesce(_key, payload, before)') -%}
    {%- for column in cdc_contract(table) if column.is_key -%}
        {{ 'and ' if not loop.first }}{{ cdc_cast(column.name, column.data_type, image=image) }} is not null{{ ' ' if not loop.last }}
    {%- else -%}
        true
    {%- endfor -%}
{%- endmacro %}
