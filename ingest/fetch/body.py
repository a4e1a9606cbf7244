"""Reading an answer's body within bounds, also when it is compressed."""

import zlib
from typing import Final

import httpx

from ingest.fetch.errors import EntityError, FetchError

_GZIP_WINDOW: Final = 31  # zlib's way to say: the largest window, with the header and the checksum of gzip


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Read a body.

    The client's own decompression would inflate each piece in full before anybody could count it: a thousandfold for
    gzip, and once more for every further encoding named.

    Args:
        response: a response whose body has not been read.
        limit: bytes at most, both as sent and decompressed.

    Returns:
        The body, decompressed.

    Raises:
        FetchError: `fetch_too_large`; `invalid_response` for an encoding that was not asked for.
        EntityError: when the body is damaged or cut off.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return await _read(response, limit)
    if encoding in ("gzip", "x-gzip"):
        return await _read_gzip(response, limit)
    raise FetchError("invalid_response", "the answer has a content encoding that was not asked for")


async def _read(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        _check(len(body), limit)
    return bytes(body)


async def _read_gzip(response: httpx.Response, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
    body = bytearray()
    received = 0
    async for piece in response.aiter_raw():
        received += len(piece)
        _check(received, limit)
        try:
            # One byte over the limit is enough to know.
            body += unpacker.decompress(piece, limit - len(body) + 1)
        except zlib.error as error:
            raise EntityError(f"the answer cannot be decompressed: {error}") from error
        _check(len(body), limit)
    if received and not unpacker.eof:
        raise EntityError("the answer is cut off")
    return bytes(body)


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise FetchError("fetch_too_large", f"the answer is over {limit} bytes")
