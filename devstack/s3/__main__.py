"""`python -m devstack.s3`: serve S3 on loopback until told to stop."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from core.errors import MillraceError
from devstack.s3.server import serve

_EXAMPLES = """examples:
  python -m devstack.s3
      on 127.0.0.1:9100
  python -m devstack.s3 --port 0 --port-file port.json
      on a free port, published as {"port": ...}
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the server in the foreground.

    Args:
        arguments: the command line without the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 after a clean stop, 1 on a failure. Wrong usage exits with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m devstack.s3",
        description="Serve S3 on loopback, in memory. It begins without any bucket.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--port-file", type=Path, help="write the port here as JSON once the server answers")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(options.host, options.port, options.port_file, stop)
    except (MillraceError, OSError) as error:
        print(f"s3: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
