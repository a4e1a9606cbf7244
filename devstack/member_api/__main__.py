"""`python -m devstack.member_api`: serve the member API on loopback until told to stop."""

import argparse
import os
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from core.contracts import load_contracts
from core.errors import ConfigurationError, MillraceError
from devstack.member_api.app import ApiOptions, create_app
from devstack.member_api.faults import FaultPlan
from devstack.member_api.rate_limit import TokenBucket
from devstack.member_api.server import serve
from devstack.member_api.store import StoreReader

_EXAMPLES = """examples:
  python -m devstack.member_api --store build/member-api.sqlite
      on 127.0.0.1:8300, with the token of MILLRACE_API_TOKEN
  python -m devstack.member_api --store api.sqlite --port 0 --port-file port.json
      on a free port, published as {"port": ...}
  python -m devstack.member_api --store api.sqlite --faults faults.json --rate-limit 100
      with faults from the start, at most 100 requests a second
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the server in the foreground.

    Args:
        arguments: the command line without the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 after a clean stop, 1 on a failure. Wrong usage exits with 2.
    """
    options = _parser().parse_args(arguments)
    try:
        api = _options(options)
        serve(create_app(api), options.host, options.port, options.port_file)
    except MillraceError as error:
        print(f"member_api: {error}", file=sys.stderr)
        return 1
    api.store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.member_api",
        description="Serve the member API on loopback.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8300, help="0 takes a free port (default: %(default)s)")
    parser.add_argument("--port-file", type=Path, help="write the port here as JSON once connections are accepted")
    parser.add_argument("--store", type=Path, required=True, help="the SQLite file with the rows")
    parser.add_argument(
        "--token-env", default="MILLRACE_API_TOKEN", help="variable that holds the token (default: %(default)s)"
    )
    parser.add_argument(
        "--contracts", type=Path, default=Path("dbt_project/models/raw"), help="folder of the table contracts"
    )
    parser.add_argument("--rate-limit", type=float, default=0.0, help="requests a second; 0 for no limit")
    parser.add_argument("--burst", type=int, default=100, help="requests at once under a limit (default: %(default)s)")
    parser.add_argument("--faults", type=Path, help="JSON file with the faults to begin with")
    return parser


def _options(options: argparse.Namespace) -> ApiOptions:
    token = os.environ.get(options.token_env)
    if not token:
        raise ConfigurationError(f"{options.token_env} is not set; it must hold the token that callers show")
    if options.rate_limit < 0 or options.burst < 1:
        raise ConfigurationError("--rate-limit must not be negative, and --burst must be at least 1")
    return ApiOptions(
        store=StoreReader(options.store),
        token=token,
        contracts=load_contracts(options.contracts),
        bucket=TokenBucket(options.rate_limit, options.burst, time.monotonic) if options.rate_limit else None,
        faults=_faults(options.faults),
    )


def _faults(path: Path | None) -> FaultPlan:
    if path is None:
        return FaultPlan()
    try:
        return FaultPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path}: not a plan of faults: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
