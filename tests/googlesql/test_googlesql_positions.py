"""Structure keeps its place in raw by GoogleSQL, also with the statements that an empty warehouse is not sent."""

from dbt_statements import Recording, compiled
from googlesql import Catalog

_INSTANT = "2026-01-02 03:10:00.000000+00:00"


def test_older_rows_are_counted_in_googlesql(recording: Recording, catalog: Catalog) -> None:
    applied = [
        {"table_name": table, "read_from": _INSTANT, "starts_at": _INSTANT, "older_rows": 5}
        for table in ("members", "member_points")
    ]
    query = compiled(recording, f"{{{{ _cdc_older_rows_query({applied!r}) }}}}")
    assert catalog.analyze(query) is None
    # The total has no condition: then BigQuery knows it without reading the table.
    assert query.count("(select count(*) from `millrace-local`.`raw`.`members`)\n") == 1


def test_what_quarantine_has_not_read_is_read_in_googlesql(recording: Recording, catalog: Catalog) -> None:
    intervals = [{"first": _INSTANT, "last": "2026-01-02 03:20:00.000000+00:00"}] * 2
    query = compiled(recording, f"select 1 as one from raw.members where {{{{ _cdc_within({intervals!r}) }}}}")
    assert query.count(f"_ingestion_ts >= timestamp '{_INSTANT}'") == 2
    assert catalog.analyze(query) is None


def test_what_was_sent_of_the_rest_was_sent_to_the_analyzer(recording: Recording) -> None:
    sent = [statement.sql for statement in recording.statements]
    assert any("applied_count = found_count" in sql for sql in sent)
    assert any("as older_rows" in sql for sql in sent)
    assert any("as island" in sql for sql in sent)
    assert any("asked.read_count" in sql for sql in sent)
