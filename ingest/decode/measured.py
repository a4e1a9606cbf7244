"""A decoder that is timed and traced."""

from collections.abc import Sequence

from ingest.context import RunContext
from ingest.decode.batch import BatchDecoder, Decoded
from ingest.message import Message


def measured(decode: BatchDecoder, topic: str, context: RunContext) -> BatchDecoder:
    """Return a decoder that is observed.

    Args:
        decode: does the work.
        topic: what it decodes, for the label.
        context: the run.

    Returns:
        A decoder with the same results.
    """

    def observed(messages: Sequence[Message]) -> Decoded:
        carriers = (message.attributes for message in messages)
        with (
            context.measures.decoding(topic),
            context.tracing.span("decode", carriers, topic=topic, messages=len(messages)),
        ):
            return decode(messages)

    return observed
