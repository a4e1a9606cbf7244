"""The parts of a plan: columns, filters and policies, each fault of theirs told with its line."""
