"""The JSON API over buckets in memory."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.gcs.store import Bucket, Buckets, StoredObject

_OCTETS: Final = "application/octet-stream"
_PAGE: Final = 1_000

Endpoint = Callable[[Request], Awaitable[Response]]


def gcs_app(buckets: Buckets) -> Starlette:
    """Return the application.

    Args:
        buckets: what it serves.
    """

    async def create_bucket(request: Request) -> Response:
        name = (await request.json())["name"]
        buckets.create(name)
        return JSONResponse({"kind": "storage#bucket", "id": name, "name": name})

    async def get_bucket(request: Request) -> Response:
        _bucket(buckets, request)
        name = request.path_params["bucket"]
        return JSONResponse({"kind": "storage#bucket", "id": name, "name": name})

    async def list_objects(request: Request) -> Response:
        return JSONResponse(_listing(_bucket(buckets, request), request.query_params))

    async def insert(request: Request) -> Response:
        _bucket(buckets, request)
        name, content_type, data = _upload(request, await request.body())
        bucket = request.path_params["bucket"]
        # Publishing a notification blocks.
        stored = await run_in_threadpool(buckets.put, bucket, name, data, content_type)
        return JSONResponse(stored.resource())

    async def read(request: Request) -> Response:
        stored = _object(_bucket(buckets, request), request)
        return _content(stored, request) if request.query_params.get("alt") == "media" else _described(stored)

    async def delete(request: Request) -> Response:
        _object(_bucket(buckets, request), request)
        await run_in_threadpool(buckets.delete, request.path_params["bucket"], request.path_params["name"])
        return Response(status_code=204)

    async def notify(request: Request) -> Response:
        _bucket(buckets, request)
        config = buckets.notify(request.path_params["bucket"], await request.json())
        return JSONResponse(
            {
                "kind": "storage#notification",
                "id": config.id,
                "topic": f"//pubsub.googleapis.com/{config.topic}",
                "payload_format": config.payload_format,
            }
        )

    routes: list[tuple[str, str, Endpoint]] = [
        ("/storage/v1/b", "POST", create_bucket),
        ("/storage/v1/b/{bucket}", "GET", get_bucket),
        ("/storage/v1/b/{bucket}/o", "GET", list_objects),
        ("/upload/storage/v1/b/{bucket}/o", "POST", insert),
        ("/storage/v1/b/{bucket}/o/{name:path}", "GET", read),
        ("/download/storage/v1/b/{bucket}/o/{name:path}", "GET", read),
        ("/storage/v1/b/{bucket}/o/{name:path}", "DELETE", delete),
        ("/storage/v1/b/{bucket}/notificationConfigs", "POST", notify),
    ]
    return Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, method, endpoint in routes],
        exception_handlers={_RefusedError: _refused},
    )


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, _RefusedError) else 500
    return JSONResponse({"error": {"code": status, "message": str(error)}}, status)


def _bucket(buckets: Buckets, request: Request) -> Bucket:
    name = request.path_params["bucket"]
    bucket = buckets.get(name)
    if bucket is None:
        raise _RefusedError(404, "The specified bucket does not exist.")
    return bucket


def _object(bucket: Bucket, request: Request) -> StoredObject:
    """Return the object a request names, in the generation it asks for, if its preconditions hold."""
    name = request.path_params["name"]
    stored = bucket.objects.get(name)
    wanted = request.query_params.get("generation")
    if stored is None or (wanted is not None and wanted != str(stored.generation)):
        raise _RefusedError(404, f"No such object: {request.path_params['bucket']}/{name}")
    required = request.query_params.get("ifGenerationMatch")
    if required is not None and required != str(stored.generation):
        raise _RefusedError(412, "At least one of the pre-conditions you specified did not hold.")
    return stored


def _described(stored: StoredObject) -> Response:
    return JSONResponse(stored.resource())


def _content(stored: StoredObject, request: Request) -> Response:
    headers = {"X-Goog-Generation": str(stored.generation), "Content-Type": stored.content_type}
    unit, _, span = request.headers.get("range", "").partition("=")
    if unit != "bytes":
        return Response(stored.data, headers=headers)
    first, _, last = span.partition("-")
    start, end = int(first), min(int(last or len(stored.data)), len(stored.data) - 1)
    if start >= len(stored.data):
        raise _RefusedError(416, "The requested range cannot be satisfied.")
    headers["Content-Range"] = f"bytes {start}-{end}/{len(stored.data)}"
    return Response(stored.data[start : end + 1], 206, headers)


def _listing(bucket: Bucket, query: Mapping[str, str]) -> dict[str, Any]:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    size = min(int(query.get("maxResults", _PAGE)), _PAGE)
    names = sorted(name for name in bucket.objects if name.startswith(prefix) and name > query.get("pageToken", ""))
    page = names[:size]
    folders = {
        prefix + rest.partition(delimiter)[0] + delimiter
        for name in page
        if delimiter and delimiter in (rest := name.removeprefix(prefix))
    }
    inside = [name for name in page if not any(name.startswith(folder) for folder in folders)]
    answer: dict[str, Any] = {
        "kind": "storage#objects",
        "items": [bucket.objects[name].resource() for name in inside],
        "prefixes": sorted(folders),
    }
    return answer | ({"nextPageToken": page[-1]} if len(names) > size else {})


def _upload(request: Request, body: bytes) -> tuple[str, str, bytes]:
    """Return name, media type and content of an upload in one request."""
    kind = request.query_params.get("uploadType")
    if kind == "media":
        return request.query_params["name"], request.headers.get("content-type", _OCTETS), body
    if kind != "multipart":
        raise _RefusedError(400, f"uploadType {kind} is not served here; write objects in one request")
    boundary = request.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    _, description, content, *_ = body.split(b"--" + boundary)
    headers, _, data = content.partition(b"\r\n\r\n")
    described = json.loads(description.partition(b"\r\n\r\n")[2])
    content_type = headers.decode().lower().partition("content-type:")[2].strip() or _OCTETS
    return described["name"], described.get("contentType", content_type), data.removesuffix(b"\r\n")
