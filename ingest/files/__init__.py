"""Change data in files: objects found by notification or by listing, one message per row."""
