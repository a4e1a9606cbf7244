"""Rows of the member tables that make sense: one module per corner of the domain.

A `new_` function makes a row, a `changed_` function returns what an update sets. Neither knows of events.
"""
