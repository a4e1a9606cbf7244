"""Sparing what the ingester never uses."""

import sys


def without_pandas() -> None:
    """Keep Google's clients from importing pandas; to be called before they are imported.

    They import it wherever it is installed, and dbt's adapter brings it. The ingester hands no data frame to anybody,
    so that would cost every one of its processes 30 MiB and half a second.
    """
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type] # what makes `import` raise: see sys.modules
