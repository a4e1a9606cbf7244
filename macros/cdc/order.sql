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


{#-
    Whether the merge would put a column back: of what a change leaves out it knows no less than the row that is held, as
    it was made from that row, unless another build has merged in between. Then the build must fail, and the next one reads
    both changes. None for a model that carries nothing.

    A comparison for each column that can be left out, as BigQuery takes no subquery about the row in a merge:
    https://cloud.google.com/bigquery/docs/data-manipulation-language#limitations
-#}
{% macro cdc_is_overtaken() -%}
    {%- set key = config.get('unique_key') -%}
    {%- if '_carried' not in model.columns or key is string -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set names = ['_row'] -%}
    {%- for column in cdc_contract(this.identifier) if column.name not in key -%}
        {%- if cdc_omits_any_column(key) or column.data_type in cdc_omissible_types() -%}
            {%- do names.append(column.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set told -%}
        ifnull(
            {{ _cdc_carried_from('DBT_INTERNAL_DEST', '_row') }},
            concat('"', {{ cdc_order_key('DBT_INTERNAL_DEST', "DBT_INTERNAL_DEST._op = 'DELETE'") }})
        )
    {%- endset -%}
    {%- set none_older = "'~'" -%}
    {%- set condition -%}
    DBT_INTERNAL_SOURCE._carried is not null
    and (
        -- what the held row tells itself
        least(
            {%- for name in names %}
            if(
                {{ _cdc_carried_from('DBT_INTERNAL_DEST', name) }} is null,
                ifnull({{ _cdc_carried_from('DBT_INTERNAL_SOURCE', name) }}, {{ none_older }}),
                {{ none_older }}
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ) < {{ told }}
        -- what it carries
        {%- for name in names %}
        or ifnull({{ _cdc_carried_from('DBT_INTERNAL_SOURCE', name) }} < {{ _cdc_carried_from('DBT_INTERNAL_DEST', name) }}, false)
        {%- endfor %}
    )
    {%- endset -%}
    {{ return(condition) }}
{%- endmacro %}


{#-
    The order key of the change that a column, or `_row`, was carried from, behind a quotation mark, so that one nobody has
    told is not an empty text; null when it was not carried.
-#}
{% macro _cdc_carried_from(row, name) -%}
    regexp_extract({{ row }}._carried, r'"{{ name }}":("[^"]*)"')
{%- endmacro %}
