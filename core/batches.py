"""Cutting what is to be published into requests."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

MOST_MESSAGES: Final = 1_000
"""Messages that Pub/Sub takes in a request: https://cloud.google.com/pubsub/quotas#resource_limits."""

MOST_BYTES: Final = 5_000_000
"""Bytes of a request: half of what Pub/Sub takes, for what the wire adds to them."""


def batches(
    items: Iterable[T], size: Callable[[T], int], *, most: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES
) -> Iterator[list[T]]:
    """Cut items into batches that fit a request each.

    Args:
        items: any number.
        size: the bytes of one.
        most: items of a batch at most.
        most_bytes: bytes of a batch at most; an item that is larger is one by itself.

    Yields:
        Them, in their order; no batch is empty.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        length = size(item)
        if batch and (len(batch) >= most or total + length > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += length
    if batch:
        yield batch
