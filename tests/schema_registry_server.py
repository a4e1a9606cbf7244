"""A schema registry on loopback, as far as the ingester asks it: https://docs.confluent.io/platform/current/schema-registry/develop/api.html."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Registry:
    """A schema registry: what it answers by path, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any, dict[str, str]]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def add(self, path: str, answer: Any, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, answer, headers)

    def add_schema(self, number: int, schema: Any, **fields: Any) -> None:
        self.add(f"/schemas/ids/{number}", {"schema": json.dumps(schema), **fields})


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append((self.path, self.headers.get("Authorization")))
            unknown = (404, {"error_code": 40403, "message": "Schema not found"}, {})
            status, answer, headers = registry.answers.get(self.path, unknown)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name the server calls
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
