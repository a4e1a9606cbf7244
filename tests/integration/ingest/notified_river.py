"""A river with a member API beside it, and notifications of the API's rows."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ingest_river import River
from pydantic import SecretStr

from devstack.member_api.app import ApiOptions, create_app
from devstack.member_api.faults import FaultPlan
from devstack.member_api.server import running_member_api
from devstack.member_api.store import StoredRow, StoreReader, write_store

TOKEN = "local-token"


def notification(table: str, key: Mapping[str, int], version: int) -> dict[str, object]:
    """The message by which a source tells that a row has changed."""
    body = {"table": table, "key": key, "event": "changed", "version": version}
    return {"data": json.dumps(body).encode(), "ordering_key": json.dumps(key)}


@contextmanager
def member_api(river: River, folder: Path, rows: list[StoredRow], plan: FaultPlan | None = None) -> Iterator[River]:
    """The river with a member API that holds some rows."""
    path = folder / "store.sqlite"
    write_store(path, rows)
    store = StoreReader(path)
    app = create_app(ApiOptions(store, TOKEN, river.contracts, faults=plan or FaultPlan()))
    with running_member_api(app) as url:
        update = {"api_base_url": url, "api_token": SecretStr(TOKEN)}
        yield River(river.settings.model_copy(update=update), river.contracts, river.sent)
    store.close()
