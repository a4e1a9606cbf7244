"""Avro containers take no more memory than their record may, whatever they say of themselves."""

import io
import tracemalloc
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from ingest.decode.avro.blocks import MAX_RECORD_BYTES, contained_record
from ingest.decode.avro.wire import avro_reader
from ingest.decode.containers import read_container

SCHEMA = fastavro.parse_schema({"type": "record", "name": "r", "fields": [{"name": "a", "type": "bytes"}]})
CODECS = ("null", "deflate", "bzip2", "xz")
LENGTH_BYTES = 4
"""What Avro writes before ten million bytes."""


def container(*values: bytes, codec: str = "deflate", **options: Any) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, SCHEMA, [{"a": value} for value in values], codec=codec, **options)
    return file.getvalue()


def nowhere(number: int) -> Any:
    raise AssertionError(number)


read_wire = avro_reader(nowhere, {})


def reason(data: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        contained_record(data)
    return caught.value.reason


@given(value=st.binary(max_size=300), codec=st.sampled_from(CODECS), sync=st.binary(min_size=16, max_size=16))
def test_a_record_comes_out_as_the_library_would_read_it(value: bytes, codec: str, sync: bytes) -> None:
    data = container(value, codec=codec, sync_marker=sync)
    [record] = fastavro.reader(io.BytesIO(data))
    assert read_wire(data).record == record == {"a": value}
    found = contained_record(data)
    assert fastavro.schemaless_reader(io.BytesIO(found.data), SCHEMA, None) == record


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_before_it_goes_off(codec: str) -> None:
    bomb = container(bytes(5 * MAX_RECORD_BYTES), codec=codec)
    for read in (read_wire, read_container):
        tracemalloc.start()
        with pytest.raises(DecodeError) as caught:
            read(bomb)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.value.reason == "too_large"
        # A block that is not compressed is as large as the message.
        assert peak < (3 * MAX_RECORD_BYTES if codec != "null" else 3 * len(bomb))


def test_the_largest_record_is_read() -> None:
    largest = MAX_RECORD_BYTES - LENGTH_BYTES
    assert len(contained_record(container(bytes(largest))).data) == MAX_RECORD_BYTES
    assert reason(container(bytes(largest + 1))) == "too_large"


@given(values=st.lists(st.binary(max_size=9)), interval=st.sampled_from([1, 10_000]))
def test_records_are_counted_over_all_blocks(values: list[bytes], interval: int) -> None:
    data = container(*values, sync_interval=interval)
    if len(values) == 1:
        assert contained_record(data).schema_text
    else:
        assert reason(data) == ("batch_of_rows" if values else "invalid_avro")


@given(place=st.integers(0, 10_000), noise=st.binary(max_size=4), codec=st.sampled_from(CODECS))
def test_a_damaged_container_is_refused_never_a_crash(place: int, noise: bytes, codec: str) -> None:
    data = container(b"value", codec=codec)
    place %= len(data)
    for read in (read_wire, read_container):
        with suppress(DecodeError):
            read(data[:place] + noise + data[place + len(noise) :] if noise else data[:place])


def test_a_codec_that_cannot_be_bounded_is_refused() -> None:
    assert reason(container(b"x").replace(b"deflate", b"snappy!")) == "unsupported_codec"
