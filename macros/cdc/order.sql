{#-
    The order of changes. It is total, and never null for a change that has a position: first the place in the
    source's log, then the order within it, then the time at the source, and on a tie the delete last. A text of
    parts of fixed width, so that comparing the texts compares the changes.
-#}
{% macro cdc_order_key(row, is_deleted) -%}
    format(
        '%s %020d %020d %d',
        {{ row }}._source_position,
        ifnull({{ row }}._source_sequence, 0),
        ifnull(unix_micros({{ row }}._source_ts), 0),
        if({{ is_deleted }}, 1, 0)
    )
{%- endmacro %}


{#-
    What ranks two deliveries of one change, whose order keys are the same: the one that landed first is the greater.
    So a run over everything picks what runs over parts of it have picked.
-#}
{% macro cdc_delivery_key(row) -%}
    format(' %020d %s', 1000000000000000000 - unix_micros({{ row }}._ingestion_ts), {{ row }}._event_id)
{%- endmacro %}


{#-
    When the merge may update a row it holds: the change is newer, or it is the same one and knows more about
    columns that the source had left out. Models hand it to the merge as `meta: merge_update_when`.
-#}
{% macro cdc_is_newer() -%}
    {%- set theirs = cdc_order_key('DBT_INTERNAL_SOURCE', 'DBT_INTERNAL_SOURCE.is_deleted') -%}
    {%- set ours = cdc_order_key('DBT_INTERNAL_DEST', 'DBT_INTERNAL_DEST.is_deleted') -%}
    {{ theirs }} > {{ ours }}
    or (
        {{ theirs }} = {{ ours }}
        and DBT_INTERNAL_SOURCE._carried is distinct from DBT_INTERNAL_DEST._carried
    )
{%- endmacro %}
