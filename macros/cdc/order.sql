{#-
    The order of changes. It is total, and never null for a change that has a position: first the place in the
    source's log, then the order within it, then the time at the source, and on a tie the delete last. Texts of
    fixed width, so that comparing the texts compares the changes.
-#}

{% macro cdc_order_key(is_deleted, row=none) -%}
    {%- set of = row ~ '.' if row else '' -%}
    concat(
        {{ of }}_source_position,
        ' ', lpad(cast(greatest(ifnull({{ of }}_source_sequence, 0), 0) as string), 20, '0'),
        ' ', lpad(cast(greatest(ifnull(unix_micros({{ of }}_source_ts), 0), 0) as string), 20, '0'),
        ' ', if({{ is_deleted }}, '1', '0')
    )
{%- endmacro %}


{#-
    The order key, made unique: of two deliveries of one change, the one that landed first is the greater. What a
    run over everything picks is then what runs over parts of it picked.
-#}
{% macro cdc_version(is_deleted, row=none) -%}
    {%- set of = row ~ '.' if row else '' -%}
    concat(
        {{ cdc_order_key(is_deleted, row) }},
        ' ', lpad(cast(1000000000000000000 - unix_micros({{ of }}_ingestion_ts) as string), 20, '0'),
        ' ', {{ of }}_event_id
    )
{%- endmacro %}


{#-
    When the merge may update a row it holds: the change is newer, or it is the same one and knows more about
    columns that the source had left out. Models hand it to the merge as `meta: merge_update_when`.
-#}
{% macro cdc_is_newer() -%}
    {%- set theirs = cdc_order_key('DBT_INTERNAL_SOURCE.is_deleted', 'DBT_INTERNAL_SOURCE') -%}
    {%- set ours = cdc_order_key('DBT_INTERNAL_DEST.is_deleted', 'DBT_INTERNAL_DEST') -%}
    {{ theirs }} > {{ ours }}
    or (
        {{ theirs }} = {{ ours }}
        and DBT_INTERNAL_SOURCE._carried is distinct from DBT_INTERNAL_DEST._carried
    )
{%- endmacro %}
