"""The row images of a table's events: the text they came as, but for values that need their schema to be understood."""

from collections.abc import Mapping
from typing import Final

import msgspec
from cachetools import LRUCache
from msgspec import UNSET, Raw, UnsetType

from core.contracts import TableContract
from core.debezium import DebeziumHandling
from ingest.decode.change import Image
from ingest.decode.connect import Schema, read_schema
from ingest.decode.debezium.envelope import NULL
from ingest.decode.debezium.markers import Markers
from ingest.decode.debezium.values import Convert, conversion
from ingest.decode.payload import read_row

_MAX_SCHEMAS: Final = 64
_VARIABLE_SCALE: Final = b'"scale"'
_PLAIN: Final = DebeziumHandling()

_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


class RowImages:
    """Reads the row images of one table."""

    def __init__(self, contract: TableContract) -> None:
        """Prepare to read.

        Args:
            contract: the table.
        """
        self._columns = {column.name: column for column in contract.columns}
        self._handling = contract.debezium
        self._markers = Markers(contract)
        self._plans: LRUCache[Schema, Mapping[str, Convert]] = LRUCache(_MAX_SCHEMAS)
        self._contract_plan = {
            name: convert
            for name, column in self._columns.items()
            if (convert := conversion(column, None, self._handling)) is not None
        }
        modes = ("decimal_handling", "time_precision", "binary_handling")
        self._is_plain = all(getattr(self._handling, mode) == getattr(_PLAIN, mode) for mode in modes) and not any(
            column.is_unsigned for column in contract.columns
        )

    def read(self, raw: Raw | UnsetType, schema: Schema | None = None) -> Image | None:
        """Read an image in full, and rewrite what the casts could not read.

        Args:
            raw: a JSON object, null, or nothing.
            schema: the schema of the row, when the event carries one.

        Returns:
            The image, its text exactly as it came unless a value was rewritten, and the others' texts even then; None
            when there is none.

        Raises:
            DecodeError: as `payload.read_row`, or why a value cannot be rewritten.
        """
        if raw is UNSET:
            return None
        text = bytes(raw)
        return None if text == NULL else self.rewrite(Image(text, read_row(text)), schema)

    def rewrite(self, image: Image, schema: Schema | None = None) -> Image:
        """Rewrite what the casts could not read.

        Args:
            image: the image as it came.
            schema: as for `read`.

        Returns:
            The image, or one with rewritten values.

        Raises:
            DecodeError: why a value cannot be rewritten.
        """
        if schema is None and not self.may_rewrite(image.text):
            return image
        rewritten = self.rewritten(image.row, schema, marked=self._markers.may_hold(image.text))
        if not rewritten:
            return image
        text = msgspec.json.encode({**_fields_decoder.decode(image.text), **rewritten})
        return Image(text, {**image.row, **rewritten})

    def rewritten(self, row: Mapping[str, object], schema: Schema | None, *, marked: bool) -> dict[str, object]:
        """Return the fields of a row whose values are to be rewritten, with what is written instead.

        Args:
            row: a row, or the key of one.
            schema: its schema, when the event carries one.
            marked: whether placeholders may be among the values.

        Raises:
            DecodeError: why a value cannot be rewritten.
        """
        plan = self._contract_plan if schema is None else self._plan(schema)
        names = row.keys() & (self._columns.keys() | plan.keys()) if marked else row.keys() & plan.keys()
        rewritten = {}
        for name in names:
            value = row[name]
            if value is None:
                continue
            marker = self._markers.read(name, value) if marked and name in self._columns else None
            new = marker if marker is not None else plan[name](value) if name in plan else value
            if new is not value:
                rewritten[name] = new
        return rewritten

    def may_rewrite(self, text: bytes) -> bool:
        """Tell whether a value of an image without a schema may be rewritten.

        Args:
            text: the image, without white space between its values, as Debezium writes it.

        Returns:
            False when the image is certainly landed as it came.
        """
        return not self._is_plain or text.find(_VARIABLE_SCALE) >= 0 or self._markers.may_rewrite(text)

    def schema_is_plain(self, schema: bytes) -> bool:
        """Tell whether a schema says nothing that rewriting needs.

        Args:
            schema: the schema of the whole event, as it stands in the wrapper.

        Returns:
            True when a wrapped event is landed just as the same event without its schema.

        Raises:
            DecodeError: when the schema cannot be read.
        """
        event = read_schema(schema)
        rows = [event and event.child(name) for name in ("before", "after")]
        return all(row is not None and not self._plan(row) for row in rows) and self._is_plain

    def _plan(self, schema: Schema) -> Mapping[str, Convert]:
        plan = self._plans.get(schema)
        if plan is None:
            plan = {}
            for field in schema.fields:
                convert = conversion(self._columns.get(field.field), field, self._handling)
                if convert is not None:
                    plan[field.field] = convert
            self._plans[schema] = plan
        return plan
