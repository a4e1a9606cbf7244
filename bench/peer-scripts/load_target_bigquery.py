# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in target-bigquery's own environment: its whole way from Singer messages to load jobs.

`load_target_bigquery.py FILE METHOD` reads Singer messages from a file and prints what it took as JSON. What would go
to BigQuery is made, down to the last byte, and thrown away: only the clients of Google's libraries are replaced.
"""

import gzip
import io
import json
import logging
import resource
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import target_bigquery.batch_job
import target_bigquery.core
from target_bigquery.target import TargetBigQuery


class NullBigQuery:
    """Takes load jobs.

    Attributes:
        received: what was sent, a gzip file a job.
    """

    def __init__(self):
        self.received = []

    def get_dataset(self, *_):
        """Say that the dataset is there."""

    def get_table(self, *_):
        """Say that the table is there."""

    def load_table_from_file(self, file, *_, **__):
        """Take a file."""
        self.received.append(file.read())
        return SimpleNamespace(result=lambda: None)


def main(path, method):
    """Load a file of Singer messages.

    Args:
        path: the file.
        method: one of the target's methods that makes load jobs.
    """
    logging.disable(logging.INFO)
    client = NullBigQuery()
    target_bigquery.core.bigquery_client_factory = lambda _: client
    target_bigquery.batch_job.bigquery_client_factory = lambda _: client
    target = TargetBigQuery(config={"project": "bench", "dataset": "raw", "method": method})
    lines = io.TextIOWrapper(io.BytesIO(Path(path).read_bytes()), encoding="utf-8")
    began, cpu = time.monotonic(), _cpu_s()
    with redirect_stdout(io.StringIO()):
        target.listen(lines)
    took, spent = time.monotonic() - began, _cpu_s() - cpu
    rows = sum(gzip.decompress(data).count(b"\n") for data in client.received)
    print(json.dumps({"cpu_s": spent, "wall_s": took, "rows": rows}))


def _cpu_s():
    """Return the CPU time of this process and of those it waited for: gzip runs in one of its own."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
