{#-
    From raw rows to the changes a model applies: what cannot be read or ordered left out (the model
    `str_quarantine` shows it, with the reason), the key cast, and of every key only what its present state needs:
    the newest change and, while those hold gaps, the ones before it.

    `rows`: a CTE of raw rows. `table`: the table they belong to, whose contract names the key.
-#}
{% macro cdc_changes(rows, table) -%}
    {%- set key = cdc_contract_columns(table, keys=true) -%}
    with

    -- the image: the row after the change, or before it when it was deleted
    readable as (

        select
            {{ cdc_raw_metadata() }},
            if(_op = 'DELETE', {{ cdc_json_object('before') }}, payload) as _image,
            {{ cdc_json_object('coalesce(_key, payload, before)') }} as _key_image
        from {{ rows }}
        where
            _op != 'TRUNCATE'
            and _source_position is not null
            and {{ cdc_quarantine_reason(key) }} is null

    ),

    versioned as (

        select
            *,
            {%- for column in key %}
            {{ cdc_cast(column.name, column.data_type, image='_key_image') }} as {{ column.name }},
            {%- endfor %}
            {{ cdc_version("_op = 'DELETE'") }} as _version,
            -- a delete tells little or nothing of the row, a marker nothing of its column
            _op != 'DELETE'
            and strpos(_image, '{{ cdc_unavailable_marker() }}') = 0
            and strpos(_image, '{{ cdc_unavailable_marker_base64() }}') = 0 as _is_complete
        from readable

    )

    select
        *,
        if(_is_complete, [], {{ cdc_unavailable_columns('_image') }}) as _unavailable
    from versioned
    -- newest first, down to the newest complete one
    qualify
        count(if(_is_complete, 1, null)) over (
            partition by {{ key | map(attribute='name') | join(', ') }}
            order by _version desc
            rows between unbounded preceding and 1 preceding
        ) = 0
{%- endmacro %}


{#- What structure reads of a raw row. -#}
{% macro cdc_raw_columns() -%}
    payload,
    before,
    _op_inferred,
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
    _version,
    _is_complete,
    _unavailable
{%- endmacro %}


{#- The names of the columns for which Debezium sent its marker: as text, in base64, or as the first of an array. -#}
{% macro cdc_unavailable_columns(image) -%}
    regexp_extract_all(
        {{ image }},
        r'"([A-Za-z0-9_]+)"\s*:\s*(?:\[\s*)?"(?:{{ cdc_unavailable_marker() }}|{{ cdc_unavailable_marker_base64() }})"'
    )
{%- endmacro %}


{#- The text when it holds a JSON object, else null. -#}
{% macro cdc_json_object(text) -%}
    if(json_type(safe.parse_json({{ text }}, wide_number_mode => 'round')) = 'object', {{ text }}, null)
{%- endmacro %}


{#-
    Why a raw row is not applied; null when it is, and for the tombstone that follows a delete, which is kept
    as evidence only.
-#}
{% macro cdc_quarantine_reason(key) -%}
    case
        when _op not in ('INSERT', 'UPDATE', 'DELETE', 'SNAPSHOT', 'TRUNCATE') then 'unknown_operation'
        when _source_position is null and not (_op = 'DELETE' and _op_inferred and payload is null) then 'no_position'
        when _source_position is null or _op = 'TRUNCATE' then null
        when _op != 'DELETE' and payload is null then 'no_payload'
        when _op != 'DELETE' and {{ cdc_json_object('payload') }} is null then 'payload_is_no_json_object'
        when {{ cdc_json_object('coalesce(_key, payload, before)') }} is null then 'key_is_no_json_object'
        {%- for column in key %}
        when {{ cdc_cast(column.name, column.data_type, image=cdc_json_object('coalesce(_key, payload, before)')) }} is null
            then 'key_cannot_be_read'
        {%- endfor %}
    end
{%- endmacro %}
