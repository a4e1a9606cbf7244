"""The `ingest` command.

Google's clients take seconds to import, so each command imports what it needs when it runs.
"""

import typer

from core.cli import run as run_app
from ingest.commands.dead_letters import app as dead_letters_app
from ingest.commands.doctor import doctor
from ingest.commands.drift import drift
from ingest.commands.replay import replay
from ingest.commands.run import run
from ingest.commands.setup import setup
from ingest.commands.tail import tail
from ingest.commands.watermarks import watermarks
from ingest.lean import without_pandas

app = typer.Typer(
    pretty_exceptions_enable=False,
    help="Stream change events and notifications into BigQuery's raw tables.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    epilog="Exit codes: 0 done, 1 a failure that the message explains, 2 wrong use. See docs/guides/ingest.md.",
)
app.command()(run)
app.command()(tail)
app.command()(replay)
app.command()(watermarks)
app.command()(drift)
app.add_typer(dead_letters_app, name="dead-letters")
app.command()(setup)
app.command()(doctor)


def main() -> None:
    """Run the command line."""
    without_pandas()
    run_app(app, "ingest")


if __name__ == "__main__":
    main()
