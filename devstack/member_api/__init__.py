"""The member API: one row by its key, or all of a member, with versions, tombstones and switchable faults."""
