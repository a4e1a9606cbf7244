"""Keeps what GRANT and REVOKE say, and tells it in INFORMATION_SCHEMA.OBJECT_PRIVILEGES.

The emulator knows neither. dbt reads the view before it grants, to grant only what is missing and to revoke
what a model no longer lists, so keeping the grants is what makes a second run quiet. Nothing is enforced: the
stand-in has no users. Grants live in memory, and are gone after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

import pyarrow as pa
import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from devstack.bigquery.shims.statements import DIALECT, Mend, Scope
from devstack.bigquery.shims.virtual_tables import arrow_rows, virtual_table

_NAMES = ("object_catalog", "object_schema", "object_name", "object_type", "privilege_type", "grantee")
_SCHEMA = pa.schema([(name, pa.string()) for name in _NAMES])


@dataclass(frozen=True)
class Grant:
    """One role that one principal has on one object.

    Attributes:
        catalog: project of the object.
        schema: dataset of the object.
        name: table or view.
        kind: TABLE, VIEW or SCHEMA.
        role: such as `roles/bigquery.dataViewer`.
        grantee: such as `user:somebody@example.com`.
    """

    catalog: str
    schema: str
    name: str
    kind: str
    role: str
    grantee: str


def read_grant(sql: str, project_id: str) -> tuple[bool, frozenset[Grant]] | None:
    """Read a GRANT or REVOKE statement.

    Source: GoogleSQL data control language,
    `GRANT role_list ON resource_type resource_name TO user_list`.

    Args:
        sql: one statement.
        project_id: the default project.

    Returns:
        Whether it grants, and what; None when it is another statement.
    """
    tokens = [token for token in sqlglot.tokenize(sql, dialect=DIALECT) if token.token_type != TokenType.SEMICOLON]
    verb = tokens[0].text.lower() if tokens else ""
    if verb not in {"grant", "revoke"}:
        return None
    rest = iter(tokens[1:])
    roles = [_joined(part) for part in _split(_until(rest, {"on"}))]
    kind = next(rest).text.upper()
    path = _joined(_until(rest, {"to", "from"})).split(".")
    grantees = [_joined(part) for part in _split(rest)]
    if kind == "SCHEMA":
        path.append("")
    catalog, schema, name = [project_id, *path][-3:]
    return verb == "grant", frozenset(
        Grant(catalog, schema, name, kind, role, grantee) for role in roles for grantee in grantees
    )


def _until(tokens: Iterator[Token], words: set[str]) -> list[Token]:
    taken = []
    for token in tokens:
        if token.text.lower() in words and token.token_type not in {TokenType.STRING, TokenType.IDENTIFIER}:
            break
        taken.append(token)
    return taken


def _split(tokens: Iterable[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.COMMA:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _joined(tokens: Iterable[Token]) -> str:
    return "".join(token.text for token in tokens)


def mends() -> tuple[Mend, Mend]:
    """Build the two halves over one store of grants.

    Returns:
        The mend that records GRANT and REVOKE, and the one that serves OBJECT_PRIVILEGES.
    """
    held: set[Grant] = set()

    def record(sql: str, scope: Scope) -> str | None:
        found = read_grant(sql, scope.project_id)
        if found is None:
            return None
        granting, grants = found
        (held.update if granting else held.difference_update)(grants)
        # Something harmless that the emulator reports as DDL, without rows, like the real statement.
        return "alter table granted.granted set options ()"

    def rows(scope: Scope, project_id: str, dataset_id: str | None) -> pa.Table:  # noqa: ARG001
        visible = [grant for grant in sorted(held, key=str) if grant.catalog == project_id]
        return arrow_rows(_SCHEMA, [astuple(grant) for grant in visible])

    return (
        Mend(words=("grant", "revoke"), rewrite=record),
        virtual_table("information_schema.object_privileges", rows),
    )
