# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in dlt's own environment: its whole way from rows to Parquet files, left in a folder.

`load_dlt.py FOLDER WORK FORM` reads `<table>.ndjson` files and prints what it took as JSON. FORM is `rows` for
dictionaries, as its REST and SQL sources yield them, or `arrow` for Arrow tables, which it passes on as they are.
"""

import io
import json
import os
import resource
import sys
import time
from itertools import islice
from pathlib import Path

_AT_ONCE = 10_000
_BLOCK_BYTES = 4 * 1024 * 1024


def rows_of(data):
    """Yield lists of rows.

    Args:
        data: NDJSON.
    """
    import orjson

    lines = iter(data.splitlines())
    while batch := list(islice(lines, _AT_ONCE)):
        yield [orjson.loads(line) for line in batch]


def arrow_of(data):
    """Yield one Arrow table.

    Args:
        data: NDJSON.
    """
    import pyarrow.json

    yield pyarrow.json.read_json(io.BytesIO(data), pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES))


def main(folder, work, form):
    """Load all files of a folder.

    Args:
        folder: the files.
        work: where dlt keeps its state and writes to.
        form: `rows` or `arrow`.
    """
    # dlt reads its settings when it is imported.
    os.environ |= {
        "DLT_DATA_DIR": work,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "NORMALIZE__WORKERS": "1",
        "DESTINATION__FILESYSTEM__BUCKET_URL": Path(work, "out").absolute().as_uri(),
    }
    import dlt
    import pyarrow.parquet as pq

    def load(name, resources):
        pipeline = dlt.pipeline(name, destination="filesystem", dataset_name=name, pipelines_dir=work)
        pipeline.run(resources, loader_file_format="parquet").raise_on_failed_jobs()

    read = {"rows": rows_of, "arrow": arrow_of}[form]
    contents = {path.stem: path.read_bytes() for path in sorted(Path(folder).glob("*.ndjson"))}
    # Once with next to nothing, so that imports and set-up are not counted.
    load("warm", [dlt.resource(read(b'{"a":1}\n'), name="warm", max_table_nesting=0)])
    began, cpu = time.monotonic(), _cpu_s()
    load("bench", [dlt.resource(read(data), name=name, max_table_nesting=0) for name, data in contents.items()])
    took, spent = time.monotonic() - began, _cpu_s() - cpu
    written = [
        pq.read_metadata(path) for name in contents for path in Path(work, "out", "bench", name).glob("*.parquet")
    ]
    print(json.dumps({"cpu_s": spent, "wall_s": took, "rows": sum(one.num_rows for one in written)}))


def _cpu_s():
    """Return the CPU time of this process and of those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
