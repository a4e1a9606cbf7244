{#- Masks for personal data, by its class. Each takes an expression and gives one of the same meaning that tells less; null stays null. -#}

{#-
    A column as somebody may see it who needs to recognise it and not to know it. What has no class is left as it is; a
    class that no mask is written for is an error, and never shown.
-#}
{% macro privacy_mask(column, pii=none) -%}
    {%- if pii is none -%}
        {{ column }}
    {%- elif pii == 'email' -%}
        {{ privacy_mask_email(column) }}
    {%- elif pii == 'phone' -%}
        {{ privacy_mask_phone(column) }}
    {%- elif pii == 'name' -%}
        {{ privacy_mask_name(column) }}
    {%- elif pii == 'identifier' -%}
        {{ privacy_tokenise(column) }}
    {%- elif pii == 'birth_date' -%}
        {{ privacy_generalise_date(column, 'year') }}
    {%- elif pii == 'location' -%}
        {#- a tenth of a degree is some eleven kilometres -#}
        round({{ column }}, 1)
    {%- elif pii == 'financial' -%}
        {#- to the nearest ten thousand -#}
        round({{ column }}, -4)
    {%- elif pii in ('address', 'free_text') -%}
        if({{ column }} is null, null, '[{{ pii }}]')
    {%- else -%}
        {{ exceptions.raise_compiler_error("privacy_mask: no mask is written for the class '" ~ pii ~ "'; write one in macros/privacy/masks.sql") }}
    {%- endif -%}
{%- endmacro %}


{#-
    The first letter, and the domain of a provider that many share: `a***@gmail.com`. A domain of one's own, or of a small
    office, names who has it, so of others nothing is shown: `a***`. Nor is a letter that is the whole name, or an address
    that is none.
-#}
{% macro privacy_mask_email(column) -%}
    case
        when {{ column }} is null then null
        when not regexp_contains({{ column }}, r'^[^@]+@[^@]+$') then '***'
        else concat(
            if(strpos({{ column }}, '@') > 2, substr({{ column }}, 1, 1), ''),
            '***',
            if(
                lower(regexp_extract({{ column }}, r'@([^@]+)$')) in ('{{ privacy_shared_mail_domains() | join("', '") }}'),
                lower(regexp_extract({{ column }}, r'@[^@]+$')),
                ''
            )
        )
    end
{%- endmacro %}


{#- Domains of e-mail that millions share; `example.*` belongs to nobody (RFC 2606). -#}
{% macro privacy_shared_mail_domains() -%}
    {{ return([
        'aol.com', 'example.com', 'example.net', 'example.org', 'freenet.de', 'gmail.com', 'gmx.at', 'gmx.ch', 'gmx.de', 'gmx.net',
        'googlemail.com', 'hotmail.com', 'hotmail.co.uk', 'icloud.com', 'live.com', 'mail.ru', 'me.com', 'msn.com', 'orange.fr',
        'outlook.com', 'outlook.de', 'proton.me', 'protonmail.com', 'qq.com', 't-online.de', 'web.de', 'yahoo.co.jp', 'yahoo.com',
        'yahoo.co.uk', 'yahoo.de', 'yandex.ru',
    ]) }}
{%- endmacro %}


{#- The last two digits: `***67`. -#}
{% macro privacy_mask_phone(column) -%}
    if(
        length(regexp_replace({{ column }}, r'[^0-9]', '')) < 6,
        '***',
        concat('***', substr(regexp_replace({{ column }}, r'[^0-9]', ''), -2))
    )
{%- endmacro %}


{#- The first letter: `A.`; of a name that is one letter, nothing. -#}
{% macro privacy_mask_name(column) -%}
    case
        when trim({{ column }}) = '' then ''
        when char_length(trim({{ column }})) = 1 then '***'
        -- some letters are several in capitals
        else concat(substr(upper(substr(trim({{ column }}), 1, 1)), 1, 1), '.')
    end
{%- endmacro %}


{#- The first day of its year, quarter or month. -#}
{% macro privacy_generalise_date(column, unit) -%}
    {%- if unit not in ('year', 'quarter', 'month') -%}
        {{ exceptions.raise_compiler_error("privacy_generalise_date: the unit is '" ~ unit ~ "'; use year, quarter or month") }}
    {%- endif -%}
    date_trunc({{ column }}, {{ unit }})
{%- endmacro %}


{#-
    A keyed hash: equal for equal values, and worth nothing without the key, however few values there are to try. It is
    the nested construction of NMAC (Bellare, Canetti, Krawczyk: Keying Hash Functions for Message Authentication,
    1996), since BigQuery has no HMAC. The key stands in a table that few may read, never in the text of a statement:
    whoever runs the query needs to read that table.
-#}
{% macro privacy_hash(column) -%}
    {%- set key = "(select hash_key.key from " ~ privacy_key_relation() ~ " as hash_key)" -%}
    to_hex(sha256(concat({{ key }}, to_hex(sha256(concat({{ key }}, cast({{ column }} as string)))))))
{%- endmacro %}


{#- A short stand-in for a value, to join and count by: 96 bits of the keyed hash. -#}
{% macro privacy_tokenise(column) -%}
    concat('tok_', substr({{ privacy_hash(column) }}, 1, 24))
{%- endmacro %}


{#-
    What stands for a value where a row has to be named and not told: its token, by which whoever holds the key finds the
    row again. Where no key is loaded, as on a laptop, the class of the value is all that is shown.
-#}
{% macro privacy_reference(column, pii) -%}
    {%- if privacy_has_key() -%}
        {{ privacy_tokenise(column) }}
    {%- else -%}
        if({{ column }} is null, null, '[{{ pii }}]')
    {%- endif -%}
{%- endmacro %}


{#- The same of a text whose class stands in a column beside it. -#}
{% macro privacy_reference_to(text, class) -%}
    {{ privacy_tokenise(text) if privacy_has_key() else "concat('[', " ~ class ~ ", ']')" }}
{%- endmacro %}


{#- Whether this environment has a key; dbt looks once a run. -#}
{% macro privacy_has_key() -%}
    {%- set key = privacy_key_relation() -%}
    {{ return(execute and adapter.get_relation(key.database, key.schema, key.identifier) is not none) }}
{%- endmacro %}


{% macro privacy_key_relation() -%}
    {{ return(api.Relation.create(database=target.database, schema=generate_schema_name('privacy'), identifier='hash_key')) }}
{%- endmacro %}


{#-
    Operation: load the key of `privacy_hash` from the file that the environment variable MILLRACE_PRIVACY_KEY_FILE names:
    {"key": "..."} with 64 hexadecimal digits, as `openssl rand -hex 32` prints them. A file, because a load job does not
    write the key into a statement, a log or BigQuery's history of jobs. With another key every hash and token is another.
-#}
{% macro privacy_load_key() -%}
    {%- if execute -%}
        {%- set relation = privacy_key_relation() -%}
        {%- do audit_make_dataset(relation) -%}
        {%- do run_query("create or replace table " ~ relation ~ " (key string)") -%}
        {%- do adapter.upload_file(
            env_var('MILLRACE_PRIVACY_KEY_FILE'), relation.database, relation.schema, relation.identifier,
            kwargs={'source_format': 'NEWLINE_DELIMITED_JSON', 'write_disposition': 'WRITE_APPEND'}
        ) -%}
        {%- set usable = run_query(
            "select countif(regexp_contains(key, r'^[0-9a-f]{64}$')) = 1 and count(*) = 1 from " ~ relation
        ).columns[0].values()[0] -%}
        {%- if not usable -%}
            {%- do run_query("drop table " ~ relation) -%}
            {{ exceptions.raise_compiler_error("the file of MILLRACE_PRIVACY_KEY_FILE holds no key; write one line, {\"key\": \"...\"}, with the 64 digits of openssl rand -hex 32") }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
