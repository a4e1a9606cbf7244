"""`python -m devstack.bigquery`: serve BigQuery on loopback until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from core.errors import MillraceError
from devstack.bigquery.address import check_free, check_loopback

_EXAMPLES = """examples:
  python -m devstack.bigquery
      in memory, on 127.0.0.1:9050 (REST) and 127.0.0.1:9060 (gRPC)
  python -m devstack.bigquery --rest-port 0 --grpc-port 0 --port-file ports.json
      on free ports, published as {"rest": ..., "grpc": ...} once both servers answer
  python -m devstack.bigquery --data-dir build/bigquery
      keeps its data in that folder across restarts
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.bigquery",
        description="Serve BigQuery (REST, Storage Write, Storage Read) on loopback.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: %(default)s)")
    parser.add_argument("--rest-port", type=int, default=9050, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=9060, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, help="keep the data here; without it, all is in memory")
    parser.add_argument("--port-file", type=Path, help="write the ports here as JSON once both servers answer")
    parser.add_argument(
        "--stop-on-eof",
        action="store_true",
        help="stop when standard input closes, so that no server outlives the test that started it",
    )
    parser.add_argument(
        "--translations",
        type=Path,
        help="keep the translations of statements in this folder, for the next server; without it, in memory",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the server in the foreground.

    Args:
        arguments: the command line without the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 after a clean stop, 1 on a failure, 2 on wrong usage.
    """
    options = _parser().parse_args(arguments)
    try:
        check_loopback(options.host)
    except MillraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        return _serve(options)
    except (MillraceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    for port in (options.rest_port, options.grpc_port):
        check_free(options.host, port)
    # Only now: importing the emulator takes two seconds, and --help should not. Its log is set up before the
    # rest of it is imported, for it writes to standard output until then.
    from bqemulator.config import LogFormat, LogLevel
    from bqemulator.observability.logging_ import configure_logging

    configure_logging(level=LogLevel.WARNING, fmt=LogFormat.JSON)
    from devstack.bigquery.server import ServerOptions, serve

    asyncio.run(serve(ServerOptions(**vars(options))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
