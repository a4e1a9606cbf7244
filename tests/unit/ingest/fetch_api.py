"""A real HTTP server for the tests of the fetcher, whose answers are scripted, and a fetcher that asks it."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pydantic import SecretStr

from core.contracts import load_contracts
from core.settings import Settings
from ingest.decode.notification import Notification, row_key_encoder, set_key_encoder
from ingest.fetch import Fetcher, api_client
from ingest.message import Message
from ingest.progress import Progress
from ingest.settings import IngestSettings

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
MESSAGE = Message("projects/p/subscriptions/s", "topic", "event-1", b"")
TOKEN = "canary-token"


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    """Length that is told instead of the body's own; the connection ends behind the body."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]


Script = Callable[[Request], Answer]


@dataclass
class Api:
    url: str = ""
    requests: list[Request] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        return [request.headers.get("authorization") for request in self.requests]


@contextmanager
def scripted(script: Script) -> Iterator[Api]:
    """Serve what a function answers to each request."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()})
            api.requests.append(request)
            answer = script(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(answer.announced or len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.announced is not None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def in_turn(*answers: Answer) -> Script:
    """Give the answers in turn, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@asynccontextmanager
async def fetching(url: str, **tunables: object) -> AsyncIterator[tuple[Fetcher, Progress]]:
    settings = Settings(api_base_url=url, api_token=SecretStr(TOKEN))
    quick = {"retry_first_wait_s": 0.001, "retry_longest_wait_s": 0.01, "fetch_attempts": 3, "fetch_timeout_s": 2}
    limits = IngestSettings.model_validate(quick | tunables)
    progress = Progress("run")
    async with api_client(settings, limits) as client:
        yield Fetcher(client, limits, progress=progress), progress


def row_notification(version: int = 5, email_id: int = 7) -> Notification:
    contract, values = CONTRACTS["member_emails"], {"email_id": email_id}
    return Notification(MESSAGE, contract, row_key_encoder(contract)(values), values, version)


def set_notification(version: int = 5, member_id: int = 7) -> Notification:
    contract, values = CONTRACTS["member_emails"], {"member_id": member_id}
    return Notification(MESSAGE, contract, set_key_encoder(contract)(values), values, version, is_set=True)


def row_answer(version: int = 5, etag: str | None = None, **fields: object) -> Answer:
    body = {"data": {"email_id": 7} | fields, "version": version, "updated_at": "1970-01-01T00:00:01Z"}
    return Answer(body=json.dumps(body).encode(), headers={} if etag is None else {"ETag": etag})


def item(email_id: int, version: int = 1, member_id: int = 7) -> dict[str, object]:
    return {"data": {"email_id": email_id, "member_id": member_id}, "version": version}


def page(*items: dict[str, object], total: int, version: int = 9, following: str | None = None) -> Answer:
    body = {"items": items, "total": total, "version": version, "next": following}
    return Answer(body=json.dumps(body).encode())
