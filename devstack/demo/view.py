"""The table that the demo ends with, and what to try next."""

from rich.console import Console
from rich.table import Table

from devstack.demo.summary import Summary
from devstack.demo.warehouse import ZONES


def show(summary: Summary, console: Console) -> None:
    """Print the result of a demo.

    Args:
        summary: the result.
        console: where to print.
    """
    console.print()
    console.print(_river(summary))
    console.print(_zones(summary))
    console.print(_seconds(summary))
    faults = summary.faults()
    if faults:
        console.print("[bold red]The river does not hold:[/]")
        for fault in faults:
            console.print(f"  [red]✗[/] {fault}")
    else:
        console.print(
            "[bold green]The river holds:[/] everything sent is accounted for, and structure equals the source."
        )
    console.print("\n[bold]Look at[/]")
    for name, path in summary.artifacts.items():
        console.print(f"  {name:<32} {path}", soft_wrap=True)
    console.print("\n[bold]Try next[/]")
    for command, purpose in _NEXT:
        console.print(f"  {command:<52} [dim]{purpose}[/]", soft_wrap=True)


_NEXT = (
    ("source .venv/bin/activate", "put the commands on your path"),
    ("devstack demo --keep", "the same, and leave the stack running"),
    ('eval "$(devstack env --folder build/demo/stack)"', "then point your shell at it"),
    ("dbt build --selector refined", "build one zone and its tests"),
    ("reconcile run --table members", "compare one table with the truth, row by row"),
    ("devstack down --folder build/demo/stack", "stop it"),
)


def _river(summary: Summary) -> Table:
    table = Table(title="The river", title_justify="left", show_header=False, min_width=64)
    table.add_column()
    table.add_column(justify="right")
    rows = [
        ("members", summary.members),
        ("events sent", summary.events_sent),
        ("  of them sent again", summary.events_published_again),
        ("  of them notifications, fetched from the API", summary.notifications_sent),
        ("notifications of sets, beside those", summary.sets_sent),
        ("raw rows landed (at least once)", summary.raw_rows),
        ("  distinct events", summary.raw_distinct),
        ("  rows found by comparing sets", summary.set_rows),
        ("dead-lettered", summary.dead_lettered),
        ("ingester killed with SIGKILL", summary.ingester_kills),
        ("rows at the source (truth)", summary.truth_rows),
        ("events per second, streaming", summary.events_per_second),
    ]
    for name, value in rows:
        table.add_row(name, f"{value:,}")
    table.add_row("structure tables equal to the truth", f"{summary.tables_equal} of {summary.tables_reconciled}")
    table.add_row("differences found of those planted", f"{summary.differences_found} of {summary.differences_planted}")
    return table


def _zones(summary: Summary) -> Table:
    table = Table("zone", "tables", "rows", title="The zones", title_justify="left", min_width=64)
    table.columns[1].justify = table.columns[2].justify = "right"
    for zone in ZONES:
        rows = [count for name, count in summary.zones.items() if name.startswith(f"{zone}.")]
        table.add_row(zone, str(len(rows)), f"{sum(rows):,}")
    return table


def _seconds(summary: Summary) -> Table:
    table = Table("stage", "seconds", title="The time", title_justify="left", min_width=64)
    table.columns[1].justify = "right"
    for stage, seconds in summary.seconds.items():
        table.add_row(stage.replace("_", " "), f"{seconds:.1f}")
    table.add_row("[bold]total", f"[bold]{sum(summary.seconds.values()):.1f}")
    return table
