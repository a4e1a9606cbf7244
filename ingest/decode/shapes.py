"""Shapes: the sets of field names a table's row images come in, each with a parser that checks every value.

A parser made for exactly these names and the contract's types parses, validates and holds against the contract in one
pass, which is several times as quick as reading a dictionary and looking at it. Shapes are learned from the rows.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from core.contracts import Column, TableContract
from ingest.decode.payload import fingerprint, read_row
from ingest.drift.forms import FORMS, Int64
from ingest.keys import KeyEncoder, key_encoder

MAX_SHAPES: Final = 32
_MAX_FIELDS: Final = 2_000
_SIGHTINGS: Final = 1_024
_UNFIT: Final = re.compile(r'[\\"\x00-\x1f]')
"""What a field's name must not hold for msgspec to make a parser for it."""

_QUICK_KEYS: Final = {"int64": Int64, "string": str}
"""Types whose value in the image is canonical as it stands, once it is of this type."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What parsing raises for text that is no JSON, or not of the type asked for."""


class Shape(msgspec.Struct, frozen=True, gc=False):
    """A set of field names.

    Attributes:
        decode: parses an image of exactly these names whose every value has a usual form of the contract's type;
            it raises one of `UNREADABLE` for any other.
        check: likewise, for values of any type, which is quicker.
        key: makes the canonical key of what `decode` returned, empty without keys; it raises `DecodeError`.
        fingerprint: fingerprint of the names.
        is_declared: whether they are the contract's names.
    """

    decode: Callable[[bytes], Any]
    check: Callable[[bytes], Any]
    key: Callable[[Any], bytes]
    fingerprint: str
    is_declared: bool


class Shapes:
    """The shapes of one table's images.

    Attributes:
        recent: the shape of the image that was parsed last.
    """

    def __init__(self, contract: TableContract, *, with_keys: bool) -> None:
        """Begin with the shape the contract declares.

        Args:
            contract: the table.
            with_keys: whether keys are made of the images: the key's columns must then be there, in the one form
                that is quickly made canonical.

        Raises:
            ContractError: when the table's key cannot be made canonical.
        """
        self._columns = {column.name: column for column in contract.columns}
        self._keys = [column.name for column in contract.key] if with_keys else []
        self._encode_key = key_encoder(contract)
        self._known: LRUCache[frozenset[str], Shape] = LRUCache(MAX_SHAPES)
        self._sightings: LRUCache[frozenset[str], None] = LRUCache(_SIGHTINGS)
        self.recent = self._learn(tuple(self._columns))

    def read(self, text: bytes) -> tuple[Shape, Any]:
        """Parse an image.

        Args:
            text: a row image.

        Returns:
            Its shape and the parsed image.

        Raises:
            DecodeError: when it is no JSON object that BigQuery could read.
            msgspec.MsgspecError: when a value has no usual form.
            LookupError: when its names were never seen before, or no parser can be made for them.
        """
        shape = self.recent
        try:
            return shape, shape.decode(text)
        except UNREADABLE:
            shape = self._find(tuple(read_row(text)))
        image = shape.decode(text)
        self.recent = shape
        return shape, image

    def check(self, text: bytes) -> None:
        """Make sure that BigQuery could read an image of which nothing else is asked.

        Args:
            text: a row image.

        Raises:
            DecodeError: when it could not.
        """
        try:
            self.recent.check(text)
        except UNREADABLE:
            self.recent = self._known.get(frozenset(read_row(text)), self.recent)

    def _find(self, names: tuple[str, ...]) -> Shape:
        known = frozenset(names)
        shape = self._known.get(known)
        if shape is not None:
            return shape
        if known not in self._sightings:
            # Names that never come again are not worth a parser.
            self._sightings[known] = None
            raise LookupError
        return self._learn(names)

    def _learn(self, names: tuple[str, ...]) -> Shape:
        if len(names) > _MAX_FIELDS or not set(names).issuperset(self._keys) or any(map(_UNFIT.search, names)):
            raise LookupError
        # msgspec looks for a field first where the last one left off: the order of the text is the quickest.
        attributes = {name: f"field{place}" for place, name in enumerate(names)}
        attributes |= {name: f"key{place}" for place, name in enumerate(self._keys)}
        shape = Shape(
            _parser(attributes, self._form),
            _parser(attributes, lambda _: Any),
            _key_of([self._columns[name] for name in self._keys], self._encode_key),
            fingerprint(dict.fromkeys(names)),
            self._columns.keys() == set(names),
        )
        self._known[frozenset(names)] = shape
        return shape

    def _form(self, name: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            return Any
        if self._keys and column.data_type == "json":
            # As Debezium writes it. A mapping may be the marker of a value not sent, which is rewritten.
            return str | None
        if name in self._keys:
            return _QUICK_KEYS.get(column.data_type, Any)
        return FORMS[column.data_type]


def _parser(attributes: Mapping[str, str], form: Callable[[str], Any]) -> Callable[[bytes], Any]:
    image = msgspec.defstruct(
        "Image",
        [(attribute, form(name)) for name, attribute in attributes.items()],
        gc=False,
        forbid_unknown_fields=True,
        rename={attribute: name for name, attribute in attributes.items()},
    )
    return msgspec.json.Decoder(image).decode


def _key_of(columns: Sequence[Column], encode_key: KeyEncoder) -> Callable[[Any], bytes]:
    """Return what makes the key of a parsed image, the quickest way its types allow."""
    names = [column.name for column in columns]
    if [column.data_type for column in columns] == ["int64"]:
        template = b'{"%s":%%d}' % names[0].encode()
        return lambda image: template % image.key0
    if not columns:
        return lambda _: b""
    read = attrgetter(*(f"key{place}" for place in range(len(names))))
    encode = msgspec.json.Encoder().encode if all(one.data_type in _QUICK_KEYS for one in columns) else encode_key
    if len(names) == 1:
        only = names[0]
        return lambda image: encode({only: read(image)})
    return lambda image: encode(dict(zip(names, read(image), strict=True)))
