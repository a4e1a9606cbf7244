"""The member API: one row by its key, with versions, tombstones and switchable faults."""
