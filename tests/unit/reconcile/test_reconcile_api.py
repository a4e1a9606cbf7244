"""The Python face: everything it promises is there, and loading it loads nothing heavy."""

import subprocess
import sys
from dataclasses import is_dataclass

import pytest

import reconcile


def test_every_promised_name_is_there_and_documented() -> None:
    for name in reconcile.__all__:
        assert (getattr(reconcile, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = reconcile.nothing
    for result in (reconcile.RunResult, reconcile.ComparisonResult, reconcile.Counts, reconcile.Cause):
        assert is_dataclass(result)


def test_importing_the_package_loads_no_client() -> None:
    loaded = "import sys, reconcile; print({'duckdb', 'pyarrow', 'google.cloud.bigquery'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
