"""`ingest drift`: how payloads differ from their contracts, and taking new fields up."""

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from core.cli import shown, usage
from core.contracts import Contracts, load_contracts
from core.errors import ConfigurationError
from core.settings import Settings
from core.stand_ins import BIGQUERY, check_stand_ins
from ingest.startup import load_place

if TYPE_CHECKING:
    from google.cloud import bigquery

    from ingest.drift.adopt import Adoption
    from ingest.drift.findings import Finding


class Report(msgspec.Struct, frozen=True):
    """What the command tells.

    Attributes:
        findings: the drift that still stands.
        adoptions: what takes up the new fields, by table.
        applied: tables whose contract has taken up the new fields.
        altered: those of them whose structure table was there and has been altered.
    """

    findings: "list[Finding]"
    adoptions: "list[Adoption]"
    applied: list[str]
    altered: list[str]


def drift(
    *,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="TABLE", help="Only this table; may be repeated. Default: all."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Add the new fields to the contract's YAML and to the structure table.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
) -> None:
    """Show how payloads differ from their contracts, and what would take their new fields up.

    Without --apply nothing is changed. New columns are only ever added; a missing field or a changed type is shown.

    **Examples**

    `ingest drift`

    `ingest drift --table members --json`

    `ingest drift --table members --apply`
    """
    settings = load_place()
    with usage():
        contracts = load_contracts(settings.contracts_path)
        _check_tables(table or [], contracts)
    check_stand_ins(settings, (BIGQUERY,))

    from core.clients import bigquery_client
    from ingest.drift.adopt import adoptions, apply_yaml
    from ingest.drift.findings import findings

    client = bigquery_client(settings)
    try:
        found = findings(client, settings, contracts, table or ())
        proposed = adoptions(found, settings.contracts_path, settings.project)
        applied, altered = [], []
        for one in proposed if apply else ():
            if one.columns:
                if _alter(one, client, settings):
                    altered.append(one.table)
                apply_yaml(one, settings.contracts_path)
                applied.append(one.table)
    finally:
        client.close()
    if json:
        typer.echo(msgspec.json.encode(Report(found, proposed, applied, altered)).decode())
    else:
        _print_findings(found)
        for one in proposed:
            _print_adoption(one, is_applied=one.table in applied, is_altered=one.table in altered)


def _check_tables(tables: list[str], contracts: Contracts) -> None:
    unknown = sorted({*tables} - {*contracts})
    if unknown:
        raise ConfigurationError(f"no contract declares {', '.join(unknown)}; the tables are {', '.join(contracts)}")


def _alter(adoption: "Adoption", client: "bigquery.Client", settings: Settings) -> bool:
    """Alter the structure table; return whether it was there."""
    from google.api_core.exceptions import NotFound

    from ingest.bigquery_errors import told
    from ingest.drift.adopt import STRUCTURE

    try:
        client.get_table(f"{settings.project}.{STRUCTURE}.{adoption.table}")
    except NotFound:
        return False
    with told(f"altering {STRUCTURE}.{adoption.table}"):
        client.query_and_wait(adoption.ddl or "")
    return True


def _print_findings(found: "list[Finding]") -> None:
    if not found:
        typer.echo("no schema drift")
    for one in found:
        expected = f", expected {one.expected_type}" if one.expected_type else ""
        seen = f", seen {' and '.join(one.seen_types)}" if one.seen_types else ""
        sample = f", such as {one.sample}" if one.sample else ""
        typer.echo(shown(f"{one.table}.{one.field}: {one.change}{expected}{seen}{sample}"))
        typer.echo(f"    since {one.first_seen:%F %T} UTC, in message {one.example_event_id}")


def _print_adoption(adoption: "Adoption", *, is_applied: bool, is_altered: bool) -> None:
    typer.echo("")
    for field, reason in adoption.left_out.items():
        typer.echo(shown(f"-- {adoption.table}.{field} is left out: {reason}"))
    if not adoption.columns:
        return
    typer.echo(f"# {'added to' if is_applied else 'would be added to'} {adoption.path}")
    typer.echo(adoption.yaml, nl=False)
    if is_applied and not is_altered:
        typer.echo("-- not run: the structure table is not there yet; dbt makes it with the new columns")
    else:
        typer.echo(f"-- {'run' if is_altered else 'would be run'}")
    typer.echo(f"{adoption.ddl};")
    typer.echo(f"-- to be added to the model str_{adoption.table} by hand, and to its YAML")
    for line in adoption.casts:
        typer.echo(line)
