"""Reading the body of a request: never more than is allowed, and never packed."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from core.errors import MillraceError

_PATIENCE_S: Final = 30.0


class BodyError(MillraceError):
    """The body cannot be taken.

    Attributes:
        status: the HTTP status that says so.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_headers(request: Request, most: int) -> int:
    """Refuse a body by what the headers say of it, before a byte of it is read.

    Args:
        request: the request.
        most: bytes of a body at most.

    Returns:
        Its length as announced, in bytes; 0 when it is not.

    Raises:
        BodyError: 413 when it is too large, 415 when it is packed: Pub/Sub packs nothing, and a few kilobytes of gzip
            can hold gigabytes.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise BodyError(415, f"content-encoding {coding[:20]!r} is not taken")
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal():
        return 0
    if len(announced) > len(str(most)) or int(announced) > most:
        raise BodyError(413, f"the body is over {most} bytes")
    return int(announced)


async def read_body(request: Request, most: int) -> bytes:
    """Read a body, as long as it is not too large: headers may be missing, or lie.

    Args:
        request: the request.
        most: bytes of a body at most.

    Returns:
        The body.

    Raises:
        BodyError: 413 as soon as it is too large, 408 when it does not arrive, 400 when its sender leaves.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise BodyError(413, f"the body is over {most} bytes")
                parts.append(part)
    except TimeoutError as error:
        raise BodyError(408, f"the body did not arrive within {_PATIENCE_S:.0f} s") from error
    except ClientDisconnect as error:
        raise BodyError(400, "the sender left before the body was complete") from error
    return b"".join(parts)
