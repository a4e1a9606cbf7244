"""What the casts of structure make of any text, on the local BigQuery as in GoogleSQL's own evaluator."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import jinja2
import pytest
from google.cloud import bigquery
from googlesql import evaluate

from core.clients import bigquery_client
from core.settings import load_settings
from devstack.bigquery import running_bigquery

CAST: Final = Path(__file__).parents[2] / "macros/cdc/cast.sql"
# A value as text that is the same on both engines.
SHOWN: Final = {
    "int64": "cast({} as string)",
    # NaN is written in two ways, and one of them keeps the sign of zero.
    "float64": "lower(cast({} + 0.0 as string))",
    "numeric": "cast({} as string)",
    "bignumeric": "cast({} as string)",
    "bool": "cast({} as string)",
    "bytes": "to_hex({})",
    "date": "cast(unix_date({}) as string)",
    "time": "cast(time_diff({}, time '00:00:00', microsecond) as string)",
    "datetime": "cast(unix_micros(timestamp({})) as string)",
    "timestamp": "cast(unix_micros({}) as string)",
}
NUMBERS: Final = (
    *(
        "1",
        "+1",
        "-1",
        "1.0",
        "1.5",
        " 1 ",
        "\t7\n",
        "",
        "+",
        "-",
        "- 1",
        "--1",
        "007",
        "1,5",
        "1 000",
        "1e3",
        "1E-3",
        "1e",
    ),
    *(
        ".5",
        "5.",
        "e5",
        "1d",
        "0b1",
        "NaN",
        "-inf",
        "infinity",
        "0x",
        "0x1",
        "9223372036854775807",
        "9223372036854775808",
    ),
    *("-9223372036854775808", "1e400", "1e-400", "1.1234567895", "-1.1234567895", "1e28", "1e29", "1e-10", "\u0663"),
    *("99999999999999999999999999999.999999999", "100000000000000000000000000000", "-719163", "2932897", "86400000000"),
    *("253402300800000000", "-62135596800000001"),
)
TIMES: Final = (
    *(
        "2024-01-05",
        "2024-1-5",
        "02024-01-05",
        "2024-01-05 ",
        " 2024-01-05",
        "+2024-01-05",
        "24-1-5",
        "1-1-1",
        "20240105",
    ),
    *("0001-01-01", "9999-12-31", "0000-01-01", "10000-01-01", "2024-13-01", "2024-02-30", "2024/01/05", "2024-01-05,"),
    *(
        "infinity",
        "-infinity",
        "epoch",
        "today",
        "2024-01-05T",
        "2024-01-05 10",
        "2024-01-05 10:00",
        "2024-01-05 10:00:00",
    ),
    *("2024-01-05T10:00:00.", "2024-01-05T10:00:00.1", "2024-01-05T10:00:00.123456Z", "2024-01-05T10:00:00.1234567Z"),
    *("2024-01-05 10:00:00+02", "2024-01-05 10:00:00+0200", "2024-01-05 10:00:00+02:00", "2024-01-05 10:00:00 +02:00"),
    *(
        "2024-01-05 10:00:00+14:00",
        "2024-01-05 10:00:00+14:01",
        "2024-01-05 10:00:00-08:30",
        "2024-01-05 10:00:00+02:60",
    ),
    *("2024-01-05 10:00:00 UTC", "2024-01-05 10:00:00UTC", "2024-01-05 10:00:00 Z", "2024-01-05+02", "2024-01-05 UTC"),
    *("2024-01-05 24:00:00", "2024-01-05 23:60:00", "2024-01-05  10:00:00", "9999-12-31 23:59:59.999999"),
    *(
        "9999-12-31 23:59:59-01",
        "0001-01-01 00:00:00+01",
        "10:00",
        "10:00:00",
        "1:2:3",
        "24:00:00",
        "100:00:00",
        "T10:00:00",
    ),
    *("10:00:00 ", " 10:00:00", "10:00:00.123456", "10:00:00+02", "10"),
)
OTHERS: Final = (
    *(
        "true",
        "T",
        "f",
        "FALSE",
        "yes",
        "0",
        "2",
        " true",
        "YWJj",
        "YWI=",
        "YW Jj",
        "YWJj\n",
        "!!",
        "YQ",
        "YWI",
        "=",
        "YWJjZA",
    ),
    *("__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
)


# What GoogleSQL reads and the local BigQuery does not, or the other way round: a pattern, and one text as a proof.
DIFFERENCES: Final = {
    "float64": ("0[xX]|_", "0x10"),
    "int64": ("-0[xX]", "-0x10"),
    "numeric": (r"_|[eE]-|[eE][0-9]*[.]|[+-]\s+$", "1_0"),
    "bignumeric": (r"_|[eE]|[.][0-9]{18}|[0-9]{20}|[+-]\s+$", "1e38"),
    "bytes": (r"\s|[.]|=[^=]|^(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2,3}$", "YWI"),
    "time": ("60", "23:59:60"),
    "datetime": ("t|:60|^0000|^-?[0-9]{17,}$", "2024-01-05t10:00:00"),
    "timestamp": (
        r"^-?[0-9]{17,}$|[tz]|[a-zA-Z]{2}|:60|^0000|^0[0-9]{4}|[+-][0-9](?::|$)|[+-][0-9]{3}$|:[0-9]$",
        "2024-01-05 10:00:00 Europe/Berlin",
    ),
}


@pytest.fixture(scope="module")
def local() -> Iterator[bigquery.Client]:
    with running_bigquery() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", address.rest_url)
        with bigquery_client(load_settings()) as client:
            yield client


@pytest.mark.parametrize("data_type", SHOWN)
def test_a_text_is_read_as_by_googlesql(local: bigquery.Client, data_type: str) -> None:
    texts = [text for text in (*NUMBERS, *TIMES, *OTHERS) if not differs(data_type, text)]
    assert len(texts) > 50
    found = _local(local, data_type, texts)
    assert found == _google(data_type, texts)
    assert any(value is not None for value in found.values())


@pytest.mark.parametrize("data_type", SHOWN)
def test_a_text_that_is_nearly_right_is_read_as_by_googlesql(local: bigquery.Client, data_type: str) -> None:
    """A thousand texts, each a known one with a character put in, left out or changed; the same ones in every run."""
    chosen = random.Random(data_type)
    texts = dict.fromkeys(_changed(chosen.choice((*NUMBERS, *TIMES, *OTHERS)), chosen) for _ in range(1_000))
    alike = [text for text in texts if not differs(data_type, text)]
    assert len(alike) > 200
    assert _local(local, data_type, alike) == _google(data_type, alike)


def _changed(text: str, chosen: random.Random) -> str:
    place, letter = chosen.randrange(len(text) + 1), chosen.choice("0159-:. TZ+/x")
    return text[:place] + chosen.choice(("", letter)) + text[place + chosen.randrange(2) :]


@pytest.mark.parametrize(("data_type", "text"), [(name, text) for name, (_, text) in DIFFERENCES.items()])
def test_what_is_known_to_differ_does(local: bigquery.Client, data_type: str, text: str) -> None:
    assert differs(data_type, text)
    assert _local(local, data_type, [text]) != _google(data_type, [text])


def differs(data_type: str, text: str) -> bool:
    return data_type in DIFFERENCES and re.search(DIFFERENCES[data_type][0], text) is not None


def _query(data_type: str, texts: Sequence[str]) -> str:
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # noqa: S701 - it makes SQL, no page
    macros = vars(environment.from_string(CAST.read_text()).module)
    shown = SHOWN[data_type].format(macros["cdc_cast_scalar"]("given", data_type).strip())
    given = ", ".join(_literal(text) for text in texts)
    return f"select {shown} as answer from unnest([{given}]) as given with offset as place order by place"


def _literal(text: str) -> str:
    return "'" + text.translate({ord("'"): "\\'", ord("\\"): "\\\\", ord("\n"): "\\n", ord("\t"): "\\t"}) + "'"


def _local(client: bigquery.Client, data_type: str, texts: Sequence[str]) -> dict[str, str | None]:
    rows = client.query_and_wait(_query(data_type, texts), retry=None)
    return dict(zip(texts, (row[0] for row in rows), strict=True))


def _google(data_type: str, texts: Sequence[str]) -> dict[str, str | None]:
    answers = [row[0][1] for row in evaluate(_query(data_type, texts))]
    values = (answer.partition(": ")[2].strip('"') if answer else None for answer in answers)
    return dict(zip(texts, values, strict=True))
