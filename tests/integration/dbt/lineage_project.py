"""A small dbt project with everything lineage has to follow, and a backend that receives it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FILES = {
    "dbt_project.yml": """
name: traced
version: "1.0"
profile: traced
model-paths: [models]
seed-paths: [seeds]
snapshot-paths: [snapshots]
flags: {send_anonymous_usage_stats: false}
models: {traced: {+meta: {owner: loyalty-data}}}
""",
    "profiles/profiles.yml": """
traced:
  target: local
  outputs:
    local:
      type: bigquery
      method: oauth-secrets
      token: local
      project: millrace-local
      dataset: traced
      threads: 1
      api_endpoint: "{{ env_var('BIGQUERY_EMULATOR_HOST') }}"
""",
    "selectors.yml": """
selectors:
  - {name: structure, definition: {method: fqn, value: "*"}}
  - {name: failing, definition: {method: fqn, value: broken}}
""",
    "seeds/countries.csv": "code,country\nDE,Germany\n",
    "models/str_people.sql": """
{{ config(materialized='table') }}
with landed as (select person_id, name, code from {{ source('traced', 'landed') }})
select landed.person_id, landed.name, landed.code from landed
""",
    "models/people_live.sql": """
{{ config(materialized='ephemeral') }}
select person_id, name, code from {{ ref('str_people') }}
""",
    "snapshots/snp_people.yml": """
snapshots:
  - name: snp_people
    relation: ref('people_live')
    config: {unique_key: person_id, strategy: check, check_cols: [name]}
""",
    "models/dim_people.sql": """
{{ config(materialized='table') }}
select people.person_id, people.name as called, countries.country
from {{ ref('snp_people') }} as people
inner join {{ ref('countries') }} as countries on people.code = countries.code
""",
    "models/broken.sql": "{{ config(enabled=var('broken', false)) }} select nothing_there from {{ ref('str_people') }}",
    "models/models.yml": """
sources:
  - name: traced
    schema: traced_raw
    tables: [{name: landed, columns: [{name: person_id, data_type: int64, description: Who.}]}]
models:
  - name: str_people
    description: People as they landed.
    columns:
      - {name: person_id, data_type: int64, description: Who., data_tests: [unique]}
      - {name: name, data_type: string, description: What they are called.}
""",
}


def write(folder: Path) -> Path:
    """Write the project and return its folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip())
    return folder


@dataclass
class Backend:
    """Receives lineage, as Marquez does: https://openlineage.io/apidocs/openapi.

    Attributes:
        url: where it listens.
        events: what it was sent, in order.
        keys: the API keys that came along.
        status: what it answers.
    """

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    status: int = 201


@contextmanager
def running_backend() -> Iterator[Backend]:
    """Run a backend on loopback while the context lasts."""
    backend = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            backend.keys.add(self.headers["authorization"])
            if backend.status < 300 and self.path == "/api/v1/lineage":
                backend.events.append(json.loads(body))
            self.send_response(backend.status if self.path == "/api/v1/lineage" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    backend.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield backend
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outcomes(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the last event of each job, by its name."""
    return {event["job"]["name"]: event for event in events if event["eventType"] != "START"}


def names(datasets: list[dict[str, Any]]) -> set[str]:
    """Return the tables, without the project."""
    return {dataset["name"].removeprefix("millrace-local.") for dataset in datasets}
