{#-
    Geohash of a point in seven characters: a cell of some 150 m. BigQuery has st_geohash; this one gives the same on
    every engine. The algorithm is G. Niemeyer's (https://en.wikipedia.org/wiki/Geohash): longitude and latitude are
    halved in turn, five halvings a character. So the point's column among 2^18 and its row among 2^17 are all it
    takes, and a character is three bits of the one and two of the other.
-#}

{#- Column of the grid of geohash that a longitude lies in, from 0 in the west to 262143. -#}
{% macro geohash_column(longitude) -%}
    least(cast(floor(({{ longitude }} + 180) / 360 * 262144) as int64), 262143)
{%- endmacro %}


{#- Row of the grid of geohash that a latitude lies in, from 0 in the south to 131071. -#}
{% macro geohash_row(latitude) -%}
    least(cast(floor(({{ latitude }} + 90) / 180 * 131072) as int64), 131071)
{%- endmacro %}


{#- The seven characters of a cell; `digits` is the alphabet in the order of the three bits, then of the two. -#}
{% macro geohash(column, row) -%}
    {%- set digits = '028b139c46df57eghksujmtvnqwyprxz' -%}
    concat(
        {%- for three, two, shift_three, shift_two in [
            (column, row, 15, 15), (row, column, 12, 13), (column, row, 10, 10), (row, column, 7, 8),
            (column, row, 5, 5), (row, column, 2, 3), (column, row, 0, 0),
        ] %}
        substr('{{ digits }}', 1 + 4 * (({{ three }} >> {{ shift_three }}) & 7) + (({{ two }} >> {{ shift_two }}) & 3), 1)
        {{- ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}
