"""What either side of a comparison is read from: one module a source, behind the one interface of `Source`."""
