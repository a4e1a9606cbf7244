"""Twenty bytes of Avro never stand for a million items: what takes no bytes may not be repeated."""

import io
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError, UnreadableError
from core.pinned import open_store
from core.settings import Settings
from ingest.decode.avro.schemas import avro_schema
from ingest.decode.avro.sizes import takes_no_bytes
from ingest.files.read.avro import read_avro

NOTHING = {"type": "record", "name": "Nothing", "fields": [{"name": "n", "type": "null"}]}
ZERO = {"type": "fixed", "name": "Zero", "size": 0}


def thing(*types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{place}", "type": each} for place, each in enumerate(types)]
    return {"type": "record", "name": "Thing", "fields": fields}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


@pytest.mark.parametrize(
    "schema",
    [
        thing(array("null")),
        thing(["null", array("null")]),
        thing(array(array("null"))),
        thing({"type": "map", "values": array({"type": "null"})}),
        thing(array(NOTHING)),
        thing(array(ZERO)),
        thing(NOTHING, array("Nothing")),
        thing({**thing(NOTHING, ZERO), "name": "Inner"}, array("Inner")),
    ],
)
def test_an_array_of_nothing_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="items take no bytes") as caught:
        avro_schema(schema)
    assert caught.value.reason == "unsupported_schema"


def test_so_is_one_of_a_type_that_stands_elsewhere() -> None:
    with pytest.raises(DecodeError, match="items take no bytes"):
        avro_schema(thing(array("Nothing")), {"Nothing": NOTHING})


@pytest.mark.parametrize(
    "schema",
    [
        thing("null", NOTHING, ZERO),
        thing(array(["null"])),
        thing({"type": "map", "values": "null"}),
        thing(array(array("int"))),
        thing({"type": "record", "name": "Tree", "fields": [{"name": "below", "type": array("Tree")}]}),
    ],
)
def test_what_the_data_bears_out_is_read(schema: dict[str, Any]) -> None:
    avro_schema(schema)


SCHEMAS = st.recursive(
    st.sampled_from(["null", "int", "string", "boolean"]),
    lambda inner: st.one_of(
        inner.map(lambda each: {"type": "array", "items": each}),
        inner.map(lambda each: {"type": "map", "values": each}),
        inner.map(lambda each: ["null", {"type": "array", "items": each}]),
        st.lists(inner, max_size=3).map(lambda each: thing(*each)),
    ),
    max_leaves=6,
)
SMALLEST = {"null": None, "int": 0, "string": "", "boolean": False}


def smallest(schema: Any) -> Any:
    """The value of a schema that takes the fewest bytes."""
    if isinstance(schema, list):
        return None
    if isinstance(schema, str):
        return SMALLEST[schema]
    if schema["type"] == "record":
        return {field["name"]: smallest(field["type"]) for field in schema["fields"]}
    return [] if schema["type"] == "array" else {}


@given(SCHEMAS)
def test_it_agrees_with_the_library_on_what_takes_no_bytes(schema: Any) -> None:
    numbers = iter(range(100))
    parsed = fastavro.parse_schema(_named_apart(schema, numbers))
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, parsed, smallest(schema))
    assert takes_no_bytes(parsed, {}) == (stream.tell() == 0)


def _named_apart(schema: Any, numbers: Any) -> Any:
    """Give each record a name of its own, as Avro wants it."""
    if isinstance(schema, list):
        return [_named_apart(each, numbers) for each in schema]
    if isinstance(schema, str):
        return schema
    named = {
        name: _named_apart(each, numbers) if name in ("items", "values") else each for name, each in schema.items()
    }
    if schema["type"] == "record":
        fields = [{**field, "type": _named_apart(field["type"], numbers)} for field in schema["fields"]]
        named |= {"name": f"R{next(numbers)}", "fields": fields}
    return named


@pytest.mark.parametrize(("schema", "record"), [(thing(array("null")), {"f0": [None]}), (NOTHING, {"n": None})])
def test_a_file_of_nothing_is_refused_too(tmp_path: Path, schema: dict[str, Any], record: dict[str, Any]) -> None:
    with (tmp_path / "things.avro").open("wb") as file:
        fastavro.writer(file, schema, [record] * 3)
    store = open_store(tmp_path.as_uri(), Settings())
    [ref] = store.listing("")
    with pytest.raises(UnreadableError, match=r"things\.avro: .*no bytes"):
        list(read_avro(store, ref))
