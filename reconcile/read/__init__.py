"""Both sides, read in bounded memory and written to scratch space in one set of types."""
