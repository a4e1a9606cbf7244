"""The streaming ingester: pull, decode, fetch, append, acknowledge, dead-letter."""
