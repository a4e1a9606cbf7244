"""Views of a result: a JSON to compute with, a page to read, a table for the terminal."""
