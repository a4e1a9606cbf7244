"""Subcommands of `ingest`, a module each."""
