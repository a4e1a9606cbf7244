"""Decoding what arrived together: the rows, the control messages, and what nobody can understand."""

from collections.abc import Callable, Sequence

import msgspec

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode import DIALECTS, Decoder
from ingest.message import Message
from ingest.row import Landing


class Decoded(msgspec.Struct):
    """What became of a batch of messages; each stands in exactly one of the lists.

    Attributes:
        landings: the rows, each with its message, in the order of the messages.
        control: heartbeats and transaction boundaries, which are no rows.
        refused: what belongs in the dead letters, with the reason.
    """

    landings: list[Landing]
    control: list[Message]
    refused: list[tuple[Message, DecodeError]]


BatchDecoder = Callable[[Sequence[Message]], Decoded]
"""Decodes what arrived together; the result is that of decoding message by message."""


def batch_decoder(contract: TableContract, load_id: str) -> BatchDecoder:
    """Return what decodes the batches of a table's topic.

    Args:
        contract: the table; its wire format picks the dialect.
        load_id: the run, for `_load_id`.

    Returns:
        The decoder.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    return one_by_one(DIALECTS[contract.wire_format](contract, load_id))


def one_by_one(decode: Decoder) -> BatchDecoder:
    """Return what decodes a batch message by message.

    Args:
        decode: decodes a message.

    Returns:
        The decoder.
    """

    def decode_batch(messages: Sequence[Message]) -> Decoded:
        decoded = Decoded([], [], [])
        for message in messages:
            try:
                row = decode(message)
            except DecodeError as error:
                decoded.refused.append((message, error))
                continue
            if row is None:
                decoded.control.append(message)
            else:
                decoded.landings.append(Landing(message, row))
        return decoded

    return decode_batch
