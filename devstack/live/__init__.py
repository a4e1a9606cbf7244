"""A real PostgreSQL and a real Debezium, from Python packages alone, feeding the same river as the demo."""
