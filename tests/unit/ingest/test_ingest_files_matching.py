"""Which table a file belongs to, what is no file at all, and what the settings refuse."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Contracts, load_contracts
from core.errors import ConfigurationError, DecodeError
from ingest.files.matching import TableMatcher, is_hidden, pattern_of
from ingest.files.objects import FoundObject
from ingest.files.settings import load_files_settings

ALL = load_contracts(Path("dbt_project/models/raw"))

segments = st.text(st.sampled_from("ab.*?[^$"), max_size=4)


@given(st.lists(segments, min_size=1, max_size=4).map("/".join))
def test_text_without_wildcards_matches_itself_only(path: str) -> None:
    glob = path.replace("*", "x").replace("?", "y")
    assert pattern_of(glob).fullmatch(glob)
    assert not pattern_of(glob).fullmatch(f"{glob}z")


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("m/*.ndjson", ["m/a.ndjson", "m/.ndjson"], ["m/x/a.ndjson", "ndjson", "m/a.ndjson.gz"]),
        ("m/**/*.avro", ["m/a.avro", "m/x/y/a.avro"], ["ma.avro", "m/x"]),
        ("m/**", ["m/", "m/a/b"], ["m", "n/a"]),
        ("m/part-?.json", ["m/part-1.json"], ["m/part-10.json", "m/part-/.json"]),
    ],
)
def test_patterns(glob: str, matching: list[str], others: list[str]) -> None:
    assert [path for path in [*matching, *others] if pattern_of(glob).fullmatch(path)] == matching


def test_an_object_of_two_tables_belongs_to_none() -> None:
    contracts = Contracts({name: replace(ALL[name], files="in/**") for name in ("members", "member_emails")})
    with pytest.raises(DecodeError, match="members, member_emails") as caught:
        TableMatcher(contracts).table_of("in/a")
    assert caught.value.reason == "ambiguous_object"
    with pytest.raises(ConfigurationError, match="no contract says which files"):
        TableMatcher(Contracts({"members": ALL["members"]}))


@pytest.mark.parametrize(
    ("files", "path", "dump", "markers"),
    [
        ("m/{dump_id}/*.json", "m/2026-01-02/a.json", ("2026-01-02", "m/2026-01-02"), ["m/2026-01-02/_SUCCESS"]),
        ("m/dt={dump_id}/**", "m/dt=7/x/y", ("7", "m/dt=7"), ["m/dt=7/manifest", "m/dt=7/_manifest.json"]),
        ("m/d-{dump_id}.json", "m/d-1.json", ("1", "m/d-1.json"), ["m/d-1.json._SUCCESS", "m/d-1.json.manifest"]),
        ("{dump_id}", "20", ("20", "20"), ["20._SUCCESS"]),
    ],
)
def test_an_object_says_to_which_dump_it_belongs(
    files: str, path: str, dump: tuple[str, str], markers: list[str]
) -> None:
    contract = replace(ALL["members"], files=files, pattern="full_dump")
    matcher = TableMatcher(Contracts({"members": contract}))
    assert matcher.table_of(path) == "members"
    assert matcher.dump_of("members", path) == ("members", *dump)
    assert matcher.marker_of(path) is None
    for marker in markers:
        assert matcher.marker_of(marker) == ("members", *dump)
        assert matcher.is_wanted(marker)
    assert not any(matcher.is_wanted(path) for path in ("other/_SUCCESS", f"m/_{path}", "m/dt=/_SUCCESS"))


def test_objects_of_other_patterns_have_no_dump() -> None:
    matcher = TableMatcher(Contracts({"members": replace(ALL["members"], files="m/**")}))
    assert matcher.dump_of("members", "m/1/a") is None
    assert matcher.marker_of("m/1/_SUCCESS") is None


@pytest.mark.parametrize("path", ["a/_SUCCESS", ".a", "a/.tmp/b", "_spark/a", "a/"])
def test_markers_are_hidden(path: str) -> None:
    assert is_hidden(path)
    assert not is_hidden("a/b_c.d")


def test_settings_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="MILLRACE_INGEST_FILES_URI: Field required"):
        load_files_settings()
    monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", "s3://bucket/in")
    assert load_files_settings().list_s == 30
    monkeypatch.setenv("MILLRACE_INGEST_FILES_NOTIFICATION_TOPIC", "bucket-events")
    with pytest.raises(ConfigurationError, match="only Cloud Storage sends notifications"):
        load_files_settings()


def test_an_object_has_its_bucket_name_and_version_in_its_id() -> None:
    assert FoundObject("gs://bucket/a/b.avro", "b.avro", "17").id == "bucket/a/b.avro#17"
