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


# What GoogleSQL reads and the local BigQuery does not, or the other way round: for each form a pattern, and one text as
# a proof. What a pattern matches is compared by nobody: it must be as narrow as the form.
_DATE: Final = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_TIME: Final = r"[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.][0-9]*)?"
_LOOSE_NUMBERS: Final = (
    (r"[0-9]_[0-9]", "1_0"),
    (r"^\s*[+-]\s+$", "+ "),
    (r"[0-9][eE][+-]?[0-9]+[.]$", "1e2."),
    (r"[0-9][eE][+-]?\s+$", "1e "),
)
DIFFERENCES: Final = {
    "int64": ((r"^\s*-0[xX][0-9a-fA-F]", "-0x10"),),
    "float64": ((r"[0-9]_[0-9]", "1_0"), (r"^\s*[+-]?0[xX][0-9a-fA-F.]", "0x1p3"), (r"^\s*[+]-[0-9i]", "+-1")),
    "numeric": (*_LOOSE_NUMBERS, (r"(?:[0-9.][0-9]|[5-9])[eE]-[0-9]{2,}", "11e-10")),
    "bignumeric": (
        *_LOOSE_NUMBERS,
        (r"(?<![0-9.])[0-9]{21,}", "100000000000000000000"),
        (r"[.][0-9]{19,}", "0.1234567890123456789"),
        (r"^\s*[+-]?[0-9.]+[eE][+]?0*[2-9][0-9]", "1e20"),
        (r"^\s*[+-]?[0-9.]+[eE]-0*(?:1[89]|[23][0-9])(?![0-9])", "1e-35"),
    ),
    "bytes": ((r"^\s*(?:[A-Za-z0-9+/]\s*){2,}[.]{1,2}$", "YWI."),),
    "time": ((r"^[0-9]{1,2}:[0-9]{1,2}:60", "23:59:60"),),
    "datetime": ((f"{_DATE}t", "2024-01-05t10:00:00"), (f"{_DATE}[ Tt][0-9]+:[0-9]+:60", "2024-01-05 23:59:60")),
    "timestamp": (
        (f"{_DATE}t", "2024-01-05t10:00:00"),
        (f"{_TIME}z$", "2024-01-05T10:00:00z"),
        (f"{_DATE}[ Tt][0-9]+:[0-9]+:60", "2024-01-05 23:59:60"),
        (f"{_TIME} [A-Z][A-Za-z_]+/", "2024-01-05 10:00:00 Europe/Berlin"),
        ("^0[0-9]{4}-[0-9]{1,2}-[0-9]", "02024-01-05"),
        (f"{_DATE} [+-][0-9]+$", "2024-01-05 -10"),
        (f"{_TIME}[+-][0-9](?::|$)", "2024-01-05 10:00:00+2"),
        (f"{_TIME}[+-][0-9]{{3}}$", "2024-01-05 10:00:00+020"),
        (f"{_TIME}[+-][0-9]{{2}}:[0-9]$", "2024-01-05 10:00:00+02:0"),
        (f"^(?:9999|0001|0000)-.*{_TIME}[+-]", "9999-12-31 02:00:00+01"),
    ),
}
PROOFS: Final = [(data_type, text) for data_type, forms in DIFFERENCES.items() for _, text in forms]


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
    assert len(alike) > 500
    assert _local(local, data_type, alike) == _google(data_type, alike)


def _changed(text: str, chosen: random.Random) -> str:
    place, letter = chosen.randrange(len(text) + 1), chosen.choice("0159-:. TZ+/x")
    return text[:place] + chosen.choice(("", letter)) + text[place + chosen.randrange(2) :]


@pytest.mark.parametrize(("data_type", "text"), PROOFS)
def test_what_is_known_to_differ_does(local: bigquery.Client, data_type: str, text: str) -> None:
    assert differs(data_type, text)
    assert _local(local, data_type, [text]) != _google(data_type, [text])


def test_no_text_is_left_out_that_both_engines_read_alike(local: bigquery.Client) -> None:
    """What is left out is what differs, or what neither engine can read, and that is one text in twenty at most."""
    texts = list(dict.fromkeys((*NUMBERS, *TIMES, *OTHERS)))
    for data_type in DIFFERENCES:
        found, google = _local(local, data_type, texts), _google(data_type, texts)
        left_out = [text for text in texts if differs(data_type, text)]
        assert [text for text in left_out if found[text] is not None and found[text] == google[text]] == [], data_type
        assert len(left_out) < len(texts) / 20, data_type


def differs(data_type: str, text: str) -> bool:
    return any(re.search(form, text) for form, _ in DIFFERENCES.get(data_type, ()))


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
