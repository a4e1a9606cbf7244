{#-
    on-run-end: writes what came of every rule to audit.quality_results, the keys of those that failed to
    audit.quality_failures, and scores to audit.quality_scores, in one statement each. The freshness of a source is a
    rule like any other, of `dbt source freshness`. A run without rules writes nothing. The tables are made here, so that a plain `dbt build` needs nobody to have been before it.
-#}

{% macro quality_record(results) -%}
    {%- if not execute or flags.WHICH not in ('build', 'test', 'freshness') -%}
        {{ return('') }}
    {%- endif -%}
    {%- set judged = [] -%}
    {%- for result in results -%}
        {%- if result.node.resource_type == 'test' -%}
            {%- do judged.append(quality_outcome(result)) -%}
        {%- elif result.node.resource_type == 'source' -%}
            {%- do judged.append(quality_freshness(result)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if judged -%}
        {%- do quality_make_tables() -%}
        {%- do run_query(quality_insert_results(judged)) -%}
        {%- set failed = judged | selectattr('has_keys') | list -%}
        {%- if failed -%}{%- do run_query(quality_insert_failures(failed)) -%}{%- endif -%}
        {%- do run_query(quality_insert_scores()) -%}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}


{#-
    What came of one test. A rule of ours says how many rows it checked and how many failed. Of any other test only
    the verdict is known: it counts as one row. So does a rule that could not run, since what is not known to be good
    is not good; one that was skipped was not asked, and has no share.
-#}
{% macro quality_outcome(result) -%}
    {%- set node, status = result.node, result.status | string -%}
    {%- set tested = quality_tested(node) -%}
    {%- set response = result.adapter_response or {} -%}
    {%- set measured = node.config.fail_calc == quality_fail_calc() and status in ('pass', 'warn', 'fail') -%}
    {%- set meta = node.config.meta -%}
    {%- if measured -%}
        {%- set failing, checked = response.code | int, response.rows_affected | int -%}
    {%- elif status == 'skipped' -%}
        {%- set failing, checked = none, none -%}
    {%- else -%}
        {%- set failing, checked = 0 if status == 'pass' else 1, 1 -%}
    {%- endif -%}
    {%- set arguments = node.test_metadata.kwargs if node.test_metadata else {} -%}
    {{ return({
        'rule': node.name,
        'zone': meta.get('zone') or tested.get('config', {}).get('meta', {}).get('zone') or tested.get('schema', 'unknown'),
        'table_name': tested.get('schema', 'unknown') ~ '.' ~ (tested.get('alias') or tested.get('identifier') or 'unknown'),
        'column_name': node.column_name,
        'kind': node.test_metadata.name if node.test_metadata else 'singular',
        'dimension': meta.get('dimension', 'validity'),
        'severity': node.config.severity | lower,
        'weight': meta.get('weight', 1),
        'owner': meta.get('owner', 'unknown'),
        'tolerated_share': arguments.get('max_share', 0),
        'status': status,
        'failing_rows': failing,
        'checked_rows': checked,
        'seconds': result.execution_time,
        'description': node.description,
        'message': result.message if status not in ('pass', 'skipped') else none,
        'compiled_sql': node.compiled_code if status not in ('pass', 'skipped') else none,
        'has_keys': measured and status in ('warn', 'fail'),
    }) }}
{%- endmacro %}


{#-
    What came of asking a source how fresh it is: one row, the newest. A table that holds none, or cannot be read, is a
    fault as well.
-#}
{% macro quality_freshness(result) -%}
    {%- set node = result.node -%}
    {%- set status = {'pass': 'pass', 'warn': 'warn', 'error': 'fail'}.get(result.status | string, 'error') -%}
    {%- set limits = [] -%}
    {%- for verb, limit in [('warns', node.freshness.warn_after), ('fails', node.freshness.error_after)] if limit and limit.count -%}
        {%- do limits.append(verb ~ ' after ' ~ limit.count ~ ' ' ~ (limit.period | string) ~ ('' if limit.count == 1 else 's')) -%}
    {%- endfor -%}
    {{ return({
        'rule': 'source_' ~ node.source_name ~ '_' ~ node.name ~ '_is_fresh',
        'zone': 'raw',
        'table_name': node.schema ~ '.' ~ node.identifier,
        'column_name': node.loaded_at_field,
        'kind': 'source_freshness',
        'dimension': 'timeliness',
        'severity': 'error',
        'weight': 1,
        'owner': node.config.meta.get('owner', 'unknown'),
        'tolerated_share': 0,
        'status': status,
        'failing_rows': 0 if status == 'pass' else 1,
        'checked_rows': 1,
        'seconds': result.execution_time,
        'description': 'Something lands regularly: ' ~ limits | join(', ') ~ ' without.',
        'message': none if status == 'pass' else (
            result.message if not result.max_loaded_at
            else 'it holds no row' if result.max_loaded_at.year == 1
            else 'the newest row is of ' ~ result.max_loaded_at
        ),
        'compiled_sql': none,
        'has_keys': false,
    }) }}
{%- endmacro %}


{#- The columns of audit.quality_results that come from the outcome of a test, with their types, in order. -#}
{% macro quality_result_columns() -%}
    {{ return({
        'rule': 'string',
        'zone': 'string',
        'table_name': 'string',
        'column_name': 'string',
        'kind': 'string',
        'dimension': 'string',
        'severity': 'string',
        'weight': 'float64',
        'owner': 'string',
        'tolerated_share': 'float64',
        'status': 'string',
        'failing_rows': 'int64',
        'checked_rows': 'int64',
        'seconds': 'float64',
        'description': 'string',
        'message': 'string',
        'compiled_sql': 'string',
    }) }}
{%- endmacro %}


{#- The run that writes, as the first columns of each of the tables. -#}
{% macro quality_run_columns() -%}
    '{{ invocation_id }}' as run_id,
    timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}+00:00' as run_started_at,
    current_timestamp() as recorded_at
{%- endmacro %}


{% macro quality_insert_results(judged) -%}
{%- set columns = quality_result_columns() -%}
insert into {{ quality_table('quality_results') }} (
    run_id, run_started_at, recorded_at, {{ columns | join(', ') }}, failing_share
)
select
    {{ quality_run_columns() }},
    {%- for name in columns %}
    result.{{ name }},
    {%- endfor %}
    {{ quality_share('result.failing_rows', 'result.checked_rows') }} as failing_share
from unnest([
    struct<{% for name, type in columns.items() %}{{ name }} {{ type }}{{ ', ' if not loop.last }}{% endfor %}>
    {%- for outcome in judged %}
    (
        {%- for name, type in columns.items() -%}
            {{ quality_literal(outcome[name], type) }}{{ ', ' if not loop.last }}
        {%- endfor -%}
    ){{ ',' if not loop.last }}
    {%- endfor %}
]) as result
{%- endmacro %}


{#- The share of rows that fail: none where there was nothing to check, unless the lack of rows is what breaks the rule. -#}
{% macro quality_share(failing_rows, checked_rows) -%}
    if(
        {{ checked_rows }} = 0,
        if({{ failing_rows }} = 0, null, 1),
        least({{ failing_rows }} / nullif({{ checked_rows }}, 0), 1)
    )
{%- endmacro %}


{% macro quality_insert_failures(failed) -%}
insert into {{ quality_table('quality_failures') }} (run_id, run_started_at, recorded_at, rule, failing_key)
select
    {{ quality_run_columns() }},
    failed.rule,
    failed.failing_key
from (
    {%- for outcome in failed %}
    select
        '{{ outcome.rule }}' as rule,
        failing_key
    from (
        {{ outcome.compiled_sql }}
    )
    cross join unnest(failing_keys) as failing_key
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as failed
{%- endmacro %}


{#-
    The score of a scope is 100 x sum(weight x (1 - failing_share)) / sum(weight) over the rules this run asked, from
    0 to 100: the share of promises kept, by weight. Rules that were skipped, or found no row to check, say nothing.
-#}
{% macro quality_insert_scores() -%}
insert into {{ quality_table('quality_scores') }} (
    run_id, run_started_at, recorded_at, zone, scope, name, score, rules, failed_rules, warned_rules
)
{%- for scope, name in [('table', 'table_name'), ('dimension', 'dimension'), ('zone', 'zone')] %}
select
    {{ quality_run_columns() }},
    zone,
    '{{ scope }}' as scope,
    {{ name }} as name,
    100 * sum(weight * (1 - failing_share)) / nullif(sum(weight), 0) as score,
    count(*) as rules,
    countif(status in ('fail', 'error')) as failed_rules,
    countif(status = 'warn') as warned_rules
from {{ quality_table('quality_results') }}
where run_id = '{{ invocation_id }}'
    and run_started_at = timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}+00:00'
    and failing_share is not null
group by {{ 'zone' if scope == 'zone' else 'zone, ' ~ name }}
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}


{#- A value as a literal of its type. -#}
{% macro quality_literal(value, type) -%}
    {%- if value is none -%}
        {{ return('cast(null as ' ~ type ~ ')') }}
    {%- elif type == 'string' -%}
        {%- set text = (value | string).replace('\\', '\\\\').replace("'", "\\'").replace('\n', '\\n').replace('\r', '\\r') -%}
        {{ return("'" ~ text ~ "'") }}
    {%- elif type == 'float64' -%}
        {{ return('cast(' ~ (value | float) ~ ' as float64)') }}
    {%- endif -%}
    {{ return(value | int) }}
{%- endmacro %}
