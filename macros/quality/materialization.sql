{#-
    Runs a data test. A rule of ours returns what it measured beside what dbt asks for; dbt takes three columns and
    throws the rest away, so the measure travels as the response of the statement, by which `results` carries it to
    on-run-end: rows_affected holds the rows checked, code the rows failing. Any other test runs as dbt does.
-#}
{% materialization test, adapter='bigquery' %}

    {%- if config.get('fail_calc') != quality_fail_calc() -%}
        {{ return(materialization_test_default()) }}
    {%- endif -%}

    {%- call statement('measured', fetch_result=True) -%}
        select
            violations as failures,
            violations {{ config.get('warn_if') }} as should_warn,
            violations {{ config.get('error_if') }} as should_error,
            failing_rows,
            checked_rows
        from (
            {{ sql }}
        )
    {%- endcall -%}

    {%- set measured = load_result('measured').table -%}
    {%- set failing_rows, checked_rows = measured.rows[0]['failing_rows'] | int, measured.rows[0]['checked_rows'] | int -%}
    {%- do store_raw_result(
        'main',
        message=failing_rows ~ ' of ' ~ checked_rows ~ ' rows fail',
        code=failing_rows | string,
        rows_affected=checked_rows,
        agate_table=measured.select(['failures', 'should_warn', 'should_error'])
    ) -%}
    {{ return({'relations': []}) }}

{% endmaterialization %}
