"""Starts without DuckDB's spatial extension, which the emulator downloads at every start and stops without.

It serves GEOGRAPHY, a type no contract of this project uses. Exactly that step is left out, and DuckDB is
told never to fetch any other extension either, so that the stand-in needs no network at all.
"""

from bqemulator.storage.engine import DuckDBEngine


def _stay_offline(engine: DuckDBEngine) -> None:
    engine.connection.execute("set global autoinstall_known_extensions = false")


def apply() -> None:
    """Replace the step that installs and loads the extension."""
    DuckDBEngine._load_spatial = _stay_offline  # noqa: SLF001
