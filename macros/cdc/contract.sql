{#- What the contracts (the sources' YAML) say, for the macros that treat every column of a table alike. -#}

{% macro cdc_tables() -%}
    {{ return([
        'member_addresses',
        'member_cases',
        'member_consents',
        'member_emails',
        'member_identities',
        'member_interactions',
        'member_phones',
        'member_points',
        'member_preferences',
        'member_profiles',
        'member_tiers',
        'member_transactions',
        'members',
    ]) }}
{%- endmacro %}


{#- The columns of a table, in order, as {name, data_type, pii, is_key, is_nullable, allowed_values}; empty while dbt only parses. -#}
{% macro cdc_contract(table) -%}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() if source.source_name == 'member' and source.name == table -%}
            {%- for column in source.columns.values() -%}
                {%- set meta = column.config.get('meta', {}) -%}
                {%- do columns.append({
                    'name': column.name,
                    'data_type': column.data_type,
                    'pii': meta.get('pii'),
                    'is_key': meta.get('key', false),
                    'is_nullable': meta.get('nullable', true),
                    'allowed_values': meta.get('allowed_values', []),
                }) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if not columns -%}
            {{ exceptions.raise_compiler_error("the source member has no table " ~ table ~ "; declare it in models/raw") }}
        {%- endif -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}

