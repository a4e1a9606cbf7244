"""Column maps: what a side's value of a compared column is made of, checked before a row is read."""
