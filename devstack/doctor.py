"""`devstack doctor`: is this machine ready, and does each stand-in answer in its own protocol?"""

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import boto3
import httpx

from core.clients import bigquery_client, publisher_client
from core.contracts import load_contracts
from core.errors import MillraceError
from core.settings import Settings
from devstack.services import HOST
from devstack.stack import Stack, find

_FREE_BYTES = 2 * 1024**3
_ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        ok: whether it holds.
        detail: what was found.
        fix: what to do when it does not hold; empty otherwise.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(folder: Path, contracts_path: Path) -> list[Check]:
    """Check the machine, the project and, when it runs, each service of the stack.

    Args:
        folder: the stack's folder.
        contracts_path: folder of the table contracts.

    Returns:
        One result per check, in a fixed order.
    """
    checks = [_python(), _packages(), _disk(folder), _loopback(), _contracts(contracts_path)]
    stack = find(folder)
    if stack is None:
        return [*checks, Check("stack", False, "not running", "run `devstack up`")]
    return [*checks, *_services(stack)]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 and run `make setup` again")


def _packages() -> Check:
    needed = ("bqemulator", "dbt-bigquery", "duckdb", "fastapi", "moto", "uvicorn")
    missing = []
    for name in needed:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(needed)} found"
    return Check("packages", not missing, detail, "run `make setup`")


def _disk(folder: Path) -> Check:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    return Check("disk", free >= _FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free at least 2 GiB")


def _loopback() -> Check:
    try:
        with socket.create_server((HOST, 0)) as server:
            return Check("loopback", True, f"{HOST}:{server.getsockname()[1]} could be opened")
    except OSError as error:
        return Check("loopback", False, str(error), f"allow this user to listen on {HOST}")


def _contracts(path: Path) -> Check:
    try:
        return Check("contracts", True, f"{len(load_contracts(path))} tables in {path}")
    except MillraceError as error:
        return Check("contracts", False, str(error), "correct the YAML that the message names")


def _services(stack: Stack) -> list[Check]:
    environment = stack.environment()
    settings = Settings(
        bigquery_emulator_host=environment["BIGQUERY_EMULATOR_HOST"],
        pubsub_emulator_host=environment["PUBSUB_EMULATOR_HOST"],
    )
    log = stack.folder
    return [
        _answers("BigQuery", lambda: _ask_bigquery(settings), log / "bigquery.log"),
        _answers("Pub/Sub", lambda: _ask_pubsub(settings), log / "pubsub.log"),
        _answers("S3", lambda: _ask_s3(environment), log / "s3.log"),
        _answers("member API", lambda: _ask_api(environment["MILLRACE_API_BASE_URL"]), log / "member_api.log"),
    ]


def _answers(name: str, ask: Callable[[], str], log: Path) -> Check:
    try:
        return Check(name, True, ask())
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the finding
        return Check(name, False, f"{type(error).__name__}: {error}", f"read {log}, then run `devstack reset`")


def _ask_bigquery(settings: Settings) -> str:
    with bigquery_client(settings) as client:
        rows = list(client.query_and_wait("select 1 as one", wait_timeout=_ANSWER_TIMEOUT_S))
    return f"select 1 gave {rows[0]['one']}"


def _ask_pubsub(settings: Settings) -> str:
    client = publisher_client(settings)
    try:
        topics = list(client.list_topics(project=f"projects/{settings.project}", timeout=_ANSWER_TIMEOUT_S))
    finally:
        client.stop()
    return f"{len(topics)} topics"


def _ask_s3(environment: dict[str, str]) -> str:
    # Not core's client: that one takes its credentials from this process, which may not point at the stack.
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    buckets = client.list_buckets()["Buckets"]
    return f"{len(buckets)} buckets"


def _ask_api(base_url: str) -> str:
    answer = httpx.get(f"{base_url}/healthz", timeout=_ANSWER_TIMEOUT_S)
    answer.raise_for_status()
    return f"GET /healthz gave {answer.status_code}"
