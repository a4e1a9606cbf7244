"""Zone runs of dbt and reconciliation, on a schedule, one run of a zone at a time."""
