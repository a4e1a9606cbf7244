"""Both sides joined by key and type in DuckDB; what differs is counted, sampled and explained."""
