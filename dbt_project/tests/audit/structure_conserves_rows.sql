{{ config(tags=['structure'], fail_calc=quality_fail_calc(), meta={'owner': 'loyalty-data', 'dimension': 'completeness'}) }}

-- Every raw row is applied, superseded, set aside with a reason, or only repeats another; none is lost on the way.
with

fates as (

    {% for table in cdc_tables() -%}
    {{ audit_row_fates(table) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

counted as (

    select
        -- rows that have no fate, or more than one, are as bad as lost ones
        sum(lost + abs(raw_rows - quarantined - evidence - truncates - erased - applied - superseded - lost)) as failing_rows,
        sum(raw_rows) as checked_rows,
        array_agg(distinct if(lost > 0, table_name, null) ignore nulls) as failing_keys
    from fates

)

{{ quality_verdict('counted') }},
    failing_keys
from counted
