"""Statements that would mend the warehouse, from the differences of a run; nothing is changed unless asked."""
