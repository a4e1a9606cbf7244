"""Decoding what arrived together: the rows, the control messages, and what nobody can understand."""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.contracts import TableContract
from core.errors import DecodeError, UnavailableError
from ingest.decode import DIALECTS, Decoder
from ingest.decode.debezium_batch import QuickDecoder, quick_decoder
from ingest.decode.drift_check import checked
from ingest.drift.watch import DriftWatch, Report, ignore
from ingest.message import Message
from ingest.row import Landing

_log = structlog.get_logger(__name__)

FORESEEN_BY_NOBODY: Final = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, msgspec.MsgspecError
)  # fmt: skip
"""What a fault of a decoder's own looks like. Data alone causes it, and would again after every restart, so that one
message would hold up its topic for good. What memory, files or the network cause is none of it, and ends the run."""

_RETRY_AFTER_S: Final = 1.0
"""For a service that did not say how long to leave it alone."""


class Decoded(msgspec.Struct):
    """What became of a batch of messages; each stands in exactly one of the lists but `in_two`.

    Attributes:
        landings: the rows, each with its message, in the order of the messages.
        control: heartbeats and transaction boundaries, which are no rows.
        refused: what belongs in the dead letters, with the reason.
        waiting: what a service must answer for first, such as a schema registry, and it did not.
        retry_after_s: how long to leave that service alone, in seconds.
        in_two: the messages of which two rows are among the landings.
    """

    landings: list[Landing]
    control: list[Message]
    refused: list[tuple[Message, DecodeError]]
    waiting: list[Message] = []
    retry_after_s: float = 0.0
    in_two: list[Message] = []


BatchDecoder = Callable[[Sequence[Message]], Decoded]
"""Decodes what arrived together; the result is that of decoding message by message."""


def batch_decoder(contract: TableContract, load_id: str, report: Report = ignore) -> BatchDecoder:
    """Return what decodes the batches of a table's topic.

    Args:
        contract: the table; its wire format picks the dialect.
        load_id: the run, for `_load_id`.
        report: told of every way in which payloads do not fit the contract.

    Returns:
        The decoder.

    Raises:
        ContractError: when the table's key cannot be made canonical.
    """
    watch = DriftWatch(contract, report)
    decode = checked(contract, DIALECTS[contract.wire_format](contract, load_id), watch)
    if contract.wire_format == "debezium" and contract.encoding == "json":
        return quick_first(quick_decoder(contract, load_id, watch), decode)
    return one_by_one(decode)


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
            _decode(message, decode, decoded)
        return decoded

    return decode_batch


def quick_first(quick: QuickDecoder, decode: Decoder) -> BatchDecoder:
    """Return what decodes usual messages quickly and the others as their dialect says.

    Args:
        quick: decodes the usual messages.
        decode: decodes any message; for a usual one it gives the same row.

    Returns:
        The decoder.
    """

    def decode_batch(messages: Sequence[Message]) -> Decoded:
        decoded = Decoded([], [], [])
        try:
            quick(messages, decoded.landings.append, lambda message: _decode(message, decode, decoded))
        except FORESEEN_BY_NOBODY:
            # Message by message it shows which of them it is.
            return slow(messages)
        return decoded

    slow = one_by_one(decode)
    return decode_batch


def _decode(message: Message, decode: Decoder, decoded: Decoded) -> None:
    try:
        row = decode(message)
    except DecodeError as error:
        decoded.refused.append((message, error))
        return
    except UnavailableError as error:
        decoded.waiting.append(message)
        decoded.retry_after_s = max(decoded.retry_after_s, error.retry_after_s or _RETRY_AFTER_S)
        return
    except FORESEEN_BY_NOBODY as error:
        decoded.refused.append((message, fault_of(error, message)))
        return
    if row is None:
        decoded.control.append(message)
        return
    if row.moved_from is not None:
        decoded.landings.append(Landing(message, row.moved_from))
        decoded.in_two.append(message)
    decoded.landings.append(Landing(message, row))


def fault_of(error: Exception, message: Message) -> DecodeError:
    """Tell of a decoder that failed in a way that nobody foresaw; the log says where.

    Args:
        error: one of `FORESEEN_BY_NOBODY`.
        message: what it was reading.

    Returns:
        `decoder_fault`; the message is kept whole, and can be replayed once the decoder is mended.
    """
    *_, last = traceback.extract_tb(error.__traceback__)
    # The error's own words may quote the data.
    where = f"{Path(last.filename).name}:{last.lineno}"
    _log.error("decoder fault", error=type(error).__name__, where=where, topic=message.topic, event_id=message.event_id)
    words = f"{type(error).__name__} at {where}: a fault of the ingester's own; replay the message once it is mended"
    return DecodeError("decoder_fault", words)
