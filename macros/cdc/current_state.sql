{#-
    The present state of every key that the changes touch: the newest change, with what it does not tell itself
    carried over from the newest one that does. Deleted rows stay, as tombstones that hold what was last known.

    A change may leave out a large column that did not change (Debezium's marker), in some tables any column, or, when
    it deletes, the whole row. Such values come from the former change, in this batch or in the table. `_carried` notes where from, as
    {"column": "order key"}, "_row" for the row as such, with an empty text for what nobody has told yet. So a
    change that comes late still lands where it belongs, and runs over parts of raw end like one run over everything.

    A truncate deletes every row that is older than it, also one that comes later.

    One thing cannot be carried over: what is left out of a row that was moved to another key, since only the old key
    had it. It stays null, `contract_holds` warns of it, and REPLICA IDENTITY FULL at the source avoids it.

    `changes`: a CTE with the columns of the table and `cdc_change_metadata()`. `rows`: the CTE of raw rows it was made
    from. `truncates`: a CTE of the truncates known before. `key`: the columns of the primary key. `columns`: the others,
    as `cdc_cast` has listed them.
-#}
{% macro cdc_current_state(changes, rows, truncates, key, columns) -%}
    {%- set key = key | list -%}
    {%- set omissible = columns | selectattr('is_omissible') | map(attribute='name') | list -%}
    {%- set columns = columns | map(attribute='name') | list -%}
    {%- if cdc_omits_any_column(key) -%}
        {%- set omissible = columns -%}
    {%- endif -%}
    {%- set reach = cdc_reach() -%}
    with

    truncate_list as (

        select array_agg(struct(order_key as order_key, known_at as known_at)) as truncates
        from (
            {{ _cdc_truncates(truncates) }}
            union all
            {{ _cdc_truncates(rows) }}
        )

    ),

    versions as (

        select
            {{ (key + columns) | join(',\n            ') }},
            {{ cdc_change_metadata() }}
        from {{ changes }}
        {%- if reach %}
        where {{ reach.condition }}
        {%- endif %}

        {%- if is_incremental() %}

        union all

        {{ _cdc_held_versions(changes, rows, key, columns, reach) }}
        {%- endif %}

    ),

    -- of the row, and of each column that may be left out of it, what the newest change that tells it says
    resolved as (

        select
            {{ key | join(',\n            ') }},
            any_value(
                struct(
                    {%- for column in columns if column not in omissible %}
                    {{ column }} as {{ column }},
                    {%- endfor %}
                    {{ _cdc_told_by() }} as told_by,
                    _ingestion_ts as told_at
                )
                having max concat({{ _cdc_told_by() }}, _delivery_key)
            ) as image,
            {%- for column in omissible %}
            any_value(
                struct({{ column }} as value, {{ _cdc_told_by(column) }} as told_by, _ingestion_ts as told_at)
                having max concat({{ _cdc_told_by(column) }}, _delivery_key)
            ) as {{ column }},
            {%- endfor %}
            any_value(
                struct(
                    {%- for name in ['_op', '_key', '_source_system', '_source_ts', '_source_position', '_source_sequence', '_event_id', '_ingestion_ts', '_order_key'] %}
                    {{ name }} as {{ name }}{{ ',' if not loop.last }}
                    {%- endfor %}
                )
                having max concat(_order_key, _delivery_key)
            ) as newest
        from versions
        group by {{ key | join(', ') }}

    ),

    truncated as (

        select
            resolved.*,
            if(
                newest._op in ('DELETE', 'TRUNCATE'),
                null,
                (select min(each.known_at) from unnest(truncate_list.truncates) as each where each.order_key > newest._order_key)
            ) as truncated_at
        from resolved
        cross join truncate_list

    )

    select
        {{ key | join(',\n        ') }},
        {%- for column in columns %}
        {{ column ~ '.value' if column in omissible else 'image.' ~ column }} as {{ column }},
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
            {%- for column in omissible %}
            {{ column }}.told_at,
            {%- endfor %}
            image.told_at,
            newest._ingestion_ts,
            ifnull(truncated_at, newest._ingestion_ts)
        ) as _ingestion_ts,
        {{ _cdc_carried(omissible) }} as _carried
    from truncated
{%- endmacro %}


{#-
    Whether a change may leave out columns of every type, and not only what PostgreSQL stores out of line: MongoDB's
    connector says of some updates only what they set. Its tables are known by their key, which is always `_id`. Others
    are spared the cost of following each column by itself.
-#}
{% macro cdc_omits_any_column(key) -%}
    {{ return('_id' in key) }}
{%- endmacro %}


{#- The change that tells a column, or the row: this one, or the one it was carried from, or none. -#}
{% macro _cdc_told_by(column=none) -%}
    {%- if column -%}
        coalesce(json_value(_carried, '$.{{ column }}'), json_value(_carried, '$._row'), _order_key)
    {%- else -%}
        ifnull(json_value(_carried, '$._row'), _order_key)
    {%- endif -%}
{%- endmacro %}


{#- `_carried` of the resolved row: null when the newest change tells all. -#}
{% macro _cdc_carried(omissible) -%}
    nullif(
            concat('{', array_to_string([
                {%- for column in omissible %}
                if({{ column }}.told_by != image.told_by, concat('"{{ column }}":', to_json_string({{ column }}.told_by)), null),
                {%- endfor %}
                if(image.told_by != newest._order_key, concat('"_row":', to_json_string(image.told_by)), null)
            ], ','), '}'),
            '{}'
        )
{%- endmacro %}


{% macro _cdc_truncates(rows) -%}
    select
                {{ cdc_order_key(rows, 'false') }} as order_key,
                _ingestion_ts as known_at
            from {{ rows }}
            where _op = 'TRUNCATE' and _source_position is not null
{%- endmacro %}


{#-
    Rows the table holds already and that the batch cannot do without: of keys whose changes leave something out,
    those that something was left out of, and those that a new truncate deletes. A row that is several of these comes
    several times, which changes nothing. Each is a query of its own: what has nothing to join, most often, reads no row.

    A column that the model has got since the last run is not in the table yet: dbt adds it after this query, and before
    the merge (`on_schema_change`). Until a change tells it, it is null.
-#}
{% macro _cdc_held_versions(changes, rows, key, columns, reach) -%}
    {#- in unit tests, the table is the name of a CTE -#}
    {%- set there = columns if this is string or not execute else columns_held() | map(attribute='name') | list -%}
    {%- set version -%}
            {%- for column in key + columns %}
            {{ 'held.' if column in key or column in there else 'null as ' }}{{ column }},
            {%- endfor %}
            held._op,
            held._key,
            held._source_system,
            held._source_ts,
            held._source_position,
            held._source_sequence,
            held._event_id,
            held._ingestion_ts,
            {{ cdc_order_key('held', "held._op = 'DELETE'") }} as _order_key,
            {{ cdc_delivery_key('held') }} as _delivery_key,
            held._carried
    {%- endset -%}
    {%- for changed, held in [('where _carried is not null', ''), ('', 'where held._carried is not null')] %}
    select
            {{- version }}
        from {{ _cdc_reached(reach) }} as held
        inner join (
            select distinct {{ key | join(', ') }}
            from {{ changes }}
            {{ changed }}
        ) as touched
            on {% for column in key %}{{ ' and ' if not loop.first }}held.{{ column }} = touched.{{ column }}{% endfor %}
        {{ held }}
        {{ 'union all' if not loop.last }}
    {%- endfor %}

        {%- if not reach or reach.truncates %}

        union all

        select
            {{- version }}
        from {{ this }} as held
        cross join (
            select max(order_key) as newest
            from ({{ _cdc_truncates(rows) }})
            having count(*) > 0
        ) as truncation
        where not held.is_deleted and {{ cdc_order_key('held', 'held.is_deleted') }} < truncation.newest
        {%- endif %}
{%- endmacro %}


{#- The table, or what of it the batch can touch. -#}
{% macro _cdc_reached(reach) -%}
    {{ '(select * from ' ~ this ~ ' where ' ~ reach.condition ~ ')' if reach else this }}
{%- endmacro %}
