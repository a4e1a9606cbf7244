{#-
    The present state of every key that the changes touch: the newest change, with each column as the newest
    change tells it that tells it at all. Deleted rows stay, as tombstones that hold what was last known.

    What no change tells by itself (a TOAST column left out, the columns of a deleted row) is carried over from the
    former one, in this batch or in the table. `_carried` notes which version told it, as {"column": "version"},
    with an empty version for what nobody has told yet. So a change that comes late still lands where it
    belongs, and runs over parts of raw end like one run over everything.

    A truncate deletes every row that is older than it, also one that comes later.

    `changes`: a CTE with the columns of the contract and `cdc_change_metadata()`. `rows`: the CTE of raw rows it was made
    from. `truncates`: a CTE of the truncates known before. `table`: the table all belong to.
-#}
{% macro cdc_current_state(changes, rows, truncates, table) -%}
    {%- set key = cdc_contract_columns(table, keys=true) | map(attribute='name') | list -%}
    {%- set columns = cdc_contract_columns(table, keys=false) -%}
    with

    all_truncates as (

        select
            {{ cdc_order_key('false') }} as order_key,
            _ingestion_ts as known_at
        from {{ truncates }}
        union all
        {{ _cdc_new_truncates(rows) }}

    ),

    truncate_list as (

        select array_agg(struct(order_key as order_key, known_at as known_at)) as truncates
        from all_truncates

    ),

    versions as (

        select
            {{ _cdc_columns(key, columns) }},
            {{ cdc_raw_metadata() }},
            _version,
            _unavailable,
            cast(null as string) as _carried,
            false as _is_held
        from {{ changes }}

        {%- if is_incremental() %}
        union all
        {{ _cdc_held_versions(changes, rows, key, columns) }}
        {%- endif %}

    ),

    -- beside each column the version that tells it
    told as (

        select
            *,
            {%- for column in columns %}
            {{ _cdc_told_by(column) }} as {{ column.name }}__told_by{{ ',' if not loop.last }}
            {%- endfor %}
        from versions

    ),

    -- per column the newest version that tells it, and what the newest of all says of itself
    resolved as (

        select
            {{ key | join(',\n            ') }},
            {%- for column in columns %}
            max_by(
                struct({{ column.name }} as value, {{ column.name }}__told_by as told_by, _ingestion_ts as told_at),
                {{ column.name }}__told_by
            ) as {{ column.name }},
            {%- endfor %}
            max_by(
                struct(
                    _op as _op,
                    _key as _key,
                    _source_system as _source_system,
                    _source_ts as _source_ts,
                    _source_position as _source_position,
                    _source_sequence as _source_sequence,
                    _event_id as _event_id,
                    _ingestion_ts as _ingestion_ts,
                    _version as _version
                ),
                _version
            ) as newest
        from told
        group by {{ key | join(', ') }}

    ),

    truncated as (

        select
            resolved.*,
            if(
                resolved.newest._op in ('DELETE', 'TRUNCATE'),
                null,
                (select min(t.known_at) from unnest(truncate_list.truncates) as t where t.order_key > resolved.newest._version)
            ) as truncated_at
        from resolved
        cross join truncate_list

    )

    select
        {{ key | join(',\n        ') }},
        {%- for column in columns %}
        {{ column.name }}.value as {{ column.name }},
        {%- endfor %}
        newest._op in ('DELETE', 'TRUNCATE') or truncated_at is not null as is_deleted,
        if(truncated_at is null, newest._op, 'TRUNCATE') as _op,
        newest._key as _key,
        newest._source_system as _source_system,
        newest._source_ts as _source_ts,
        newest._source_position as _source_position,
        newest._source_sequence as _source_sequence,
        newest._event_id as _event_id,
        -- when the row last learnt something, so that whoever reads what is new finds it
        greatest(
            newest._ingestion_ts,
            ifnull(truncated_at, newest._ingestion_ts)
            {%- for column in columns %},
            {{ column.name }}.told_at
            {%- endfor %}
        ) as _ingestion_ts,
        {{ _cdc_carried(columns) }} as _carried
    from truncated
{%- endmacro %}


{#- The version that tells a column: the row's own, or the one it was carried from, or none. -#}
{% macro _cdc_told_by(column) -%}
    {%- set is_blank = "array_length(" ~ column.name ~ ") = 0" if column.data_type.startswith('array')
        else column.name ~ " is null" -%}
    case
        when _is_held then ifnull(json_value(_carried, '$.{{ column.name }}'), _version)
        when '{{ column.name }}' in unnest(_unavailable) or (_op = 'DELETE' and {{ is_blank }}) then ''
        else _version
    end
{%- endmacro %}


{% macro _cdc_new_truncates(rows) -%}
    select
            {{ cdc_order_key('false') }} as order_key,
            _ingestion_ts as known_at
        from {{ rows }}
        where _op = 'TRUNCATE' and _source_position is not null
{%- endmacro %}


{#-
    Rows the table already holds and that the batch cannot do without: those of keys whose changes hold gaps,
    those that hold gaps themselves, and those that a new truncate deletes.
-#}
{% macro _cdc_held_versions(changes, rows, key, columns) -%}
    {%- set held_order = cdc_order_key('held.is_deleted', 'held') -%}
    select
            {% for column in key %}held.{{ column }}, {% endfor %}
            {% for column in columns %}held.{{ column.name }}, {% endfor %}
            held._op,
            held._key,
            held._source_system,
            held._source_ts,
            held._source_position,
            held._source_sequence,
            held._event_id,
            held._ingestion_ts,
            {{ cdc_version('held.is_deleted', 'held') }} as _version,
            cast([] as array<string>) as _unavailable,
            ifnull(held._carried, '{}') as _carried,
            true as _is_held
        from {{ this }} as held
        left join (
            select
                {{ key | join(', ') }},
                logical_or(not _is_complete) as has_gaps
            from {{ changes }}
            group by {{ key | join(', ') }}
        ) as touched
            on {% for column in key %}{{ 'and ' if not loop.first }}held.{{ column }} = touched.{{ column }}{{ ' ' }}{% endfor %}
        cross join (select max(order_key) as newest from ({{ _cdc_new_truncates(rows) }})) as truncation
        where
            touched.has_gaps
            or (touched.{{ key[0] }} is not null and held._carried is not null)
            or (not held.is_deleted and {{ held_order }} < truncation.newest)
{%- endmacro %}


{% macro _cdc_columns(key, columns) -%}
    {{ (key + (columns | map(attribute='name') | list)) | join(',\n            ') }}
{%- endmacro %}


{% macro _cdc_carried(columns) -%}
    nullif(concat(
            '{', array_to_string([
                {%- for column in columns %}
                if(
                    {{ column.name }}.told_by != newest._version,
                    concat('"{{ column.name }}":', to_json_string({{ column.name }}.told_by)), null
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ], ','), '}'
        ), '{}')
{%- endmacro %}
