"""`ingest watermarks`: how far each table has come in event time."""

from typing import Annotated

import msgspec
import typer

from core.clock import utc_now
from core.stand_ins import BIGQUERY, check_stand_ins
from ingest.startup import load_place


def watermarks(json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Show the watermark of each table: every event before it has landed, over all processes of the ingester.

    **Examples**

    `ingest watermarks`

    `ingest watermarks --json`
    """
    settings = load_place()
    check_stand_ins(settings, (BIGQUERY,))

    from ingest.watermarks.merged import merged_watermarks

    found = merged_watermarks(settings, utc_now())
    if json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    if not found:
        typer.echo("no watermarks yet: `ingest run` writes them")
    for each in found:
        watermark = f"{each.watermark:%F %T} UTC" if each.watermark else "-"
        late = f", {each.rows_late} late" if each.rows_late else ""
        typer.echo(f"{each.table:<24} {watermark:<24} {each.rows_landed} rows{late}, {each.in_flight} in flight")
