"""Secrets of connections: what is not percent-encoded is refused unseen, what is goes nowhere."""

import json
import os
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.errors import UnreadableError
from reconcile.cli import app
from reconcile.plans import DatabaseSpec
from reconcile.sources.adbc import connection_uri
from reconcile.sources.uris import is_well_formed, without_secrets

TABLE = DatabaseSpec("postgresql", "SHOP_URI", "public", "orders")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:CANARY/pw@127.0.0.1:1/x",
        "postgresql://u:CANARY@pw@127.0.0.1:1/x",
        "postgresql://u:CANARY@[::1/x",
        "postgresql://u:12/CANARY@127.0.0.1:1/x",
        "postgresql://u:CANARY[@127.0.0.1:1/x",
        "postgresql://u:CANARY#pw@127.0.0.1:1/x",
        "postgresql://u:CANARY?pw@127.0.0.1:1/x",
        "postgresql://u:CANARY%zz@127.0.0.1:1/x",
        "postgresql://u:CANARY pw@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 user=u password='CANARY'",
    ],
)
def test_a_password_that_is_not_encoded_is_told_by_its_variable_alone(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_URI", uri)
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    sides = {
        "warehouse": {"type": "files", "uri": tmp_path.as_uri()},
        "snapshot": {"type": "postgresql", "connection": "SHOP_URI", "table": "public.orders"},
    }
    document = {"version": 1, "comparisons": [{"name": "t", "key": ["id"], **sides}]}
    (tmp_path / "reconcile.yml").write_text(json.dumps(document))
    done = CliRunner().invoke(app, ["run", "--no-audit", "--output", "out"])
    told = capfd.readouterr()
    report = (tmp_path / "out/report.json").read_text() + (tmp_path / "out/report.html").read_text()
    everything = "".join((done.output, repr(done.exception), told.out, told.err, report))
    assert ("SHOP_URI" in report, "percent-encode" in report, done.exit_code) == (True, True, 1)
    assert "CANARY" not in everything


@given(
    password=st.text(st.characters(codec="utf-8"), min_size=4), host=st.sampled_from(["h", "[::1]:5", "a:1,b:2", ""])
)
def test_an_encoded_password_is_taken_and_never_told(password: str, host: str) -> None:
    uri = f"postgresql://u:{quote(password, safe='')}@{host}/db?sslmode=require"
    assert connection_uri(TABLE, {"SHOP_URI": uri}) == uri
    told = without_secrets(f"cannot parse ~{password}~ of ~{quote(password, safe='')}~ in {uri}", uri)
    assert told == "cannot parse ~***~ of ~***~ in ***"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://",
        "postgresql:///db?host=/run/postgresql&port=5432",
        "postgresql://h/db",
        "postgres://u@h:5432,i:5433/db?target_session_attrs=any",
        "postgresql://u:p%40w@[2001:db8::1]:5432/db",
        "postgresql://%2Frun%2Fpostgresql/db",
        "u:p%2Fw@org-account/DB/SCHEMA?warehouse=WH&role=R",
        "u@account/DB?authenticator=SNOWFLAKE_JWT&privateKey=MIIE_-%3D",
    ],
)
def test_well_formed_uris_of_both_drivers_are_taken(uri: str) -> None:
    assert is_well_formed(uri)
    assert connection_uri(TABLE, {"SHOP_URI": uri}) == uri


def test_secrets_among_the_options_are_hidden_too() -> None:
    uri = "postgresql://h/db?user=u&password=s3cret%21&sslpassword=0ther&sslmode=require"
    told = without_secrets("s3cret! s3cret%21 0ther require", uri)
    assert told == "*** *** *** require"


def test_a_long_uri_that_is_not_well_formed_is_refused_at_once() -> None:
    assert not is_well_formed(f"postgresql://{'a' * 5_000}[{'b' * 5_000}")


def test_a_variable_that_is_not_set_is_named() -> None:
    assert "SHOP_URI" not in os.environ
    with pytest.raises(UnreadableError, match="SHOP_URI is not set"):
        connection_uri(TABLE)
