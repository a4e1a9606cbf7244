"""`python -m devstack.pubsub`: the server as a process of its own."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devstack.pubsub.server import LOOPBACK, serve

_END_OF_CALLS_S: Final = 2.0
_EXAMPLES = """examples:
  python -m devstack.pubsub --port 8085
  python -m devstack.pubsub --port 0 --port-file build/pubsub.port
  PUBSUB_EMULATOR_HOST=127.0.0.1:8085 python your_client.py
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT.

    The bound port is printed as one line, and written to the port file once calls are answered.

    Args:
        argv: the arguments; those of the process by default.

    Returns:
        The exit code: 0 after a signal, 1 when the server cannot start. Usage errors exit with 2.
    """
    options = _parser().parse_args(argv)
    _collect_rarely()
    try:
        asyncio.run(_run(options.host, options.port, options.port_file))
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _collect_rarely() -> None:
    """Spares the garbage collector the backlog: it is large, and has no reference cycles."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(host: str, port: int, port_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(host, port) as server:
        if port_file is not None:
            _write_atomically(port_file, f"{server.port}\n")
        print(server.port, flush=True)
        await stop.wait()
    await _let_calls_end()


async def _let_calls_end() -> None:
    """Waits for the tasks of cancelled calls: gRPC prints a traceback for one that the end of the loop cancels too."""
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    if calls:
        await asyncio.wait(calls, timeout=_END_OF_CALLS_S)


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.pubsub",
        description="Serve Google Pub/Sub (gRPC, in memory) on the loopback interface.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", choices=sorted(LOOPBACK), help="the address to listen on")
    parser.add_argument("--port", default=0, type=int, help="the port; 0 picks a free one (default)")
    parser.add_argument("--port-file", type=Path, help="write the bound port to this file, as one line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
