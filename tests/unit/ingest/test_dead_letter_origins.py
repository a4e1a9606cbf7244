"""What the id of a letter of files says: that it is a row, or which object it is, wherever that lies."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.dead_letters.origin import ObjectName, is_object, is_row, object_of
from ingest.files.objects import FoundObject

NAMES = st.lists(st.text(min_size=1, max_size=8).filter(lambda name: "/" not in name), min_size=1, max_size=3)
VERSIONS = st.from_regex(r"[0-9a-f]{1,12}(-[0-9]{1,12}){0,2}", fullmatch=True)
PLACES = st.sampled_from(["gs://bucket", "gs://bucket/pre/fix", "s3://bucket/pre fix/", "file:///data/it%27s%20here"])


@given(place=PLACES, names=NAMES, version=VERSIONS, row=st.integers(1, 10**9))
def test_an_id_leads_back_to_its_object(place: str, names: list[str], version: str, row: int) -> None:
    """Also where names hold what ids are made of, and file names are percent-encoded in them."""
    path = "/".join(names)
    if place.startswith("file:"):
        if set(names) & {".", ".."} or "\0" in path:
            return
        try:
            uri = (Path("/data/it's here") / path).as_uri()
        except UnicodeEncodeError:
            return
    else:
        uri = f"{place.rstrip('/')}/{path}"
    found = FoundObject(uri, path, version)
    assert is_object(found.id)
    assert not is_row(found.id)
    assert object_of(found.id, place) == ObjectName(uri, path, version)
    assert is_row(f"{found.id}:{row}")
    assert not is_object(f"{found.id}:{row}")
    assert object_of(found.id, "gs://elsewhere") is None
    assert object_of(found.id, f"{place.rstrip('/')}/no") is None or names[0] == "no"


@pytest.mark.parametrize("event_id", ["1795296546520831", "loyalty.member.members-0-17", "bucket-events#17", ""])
def test_ids_of_messages_and_records_are_neither(event_id: str) -> None:
    assert not is_row(event_id)
    assert not is_object(event_id)
