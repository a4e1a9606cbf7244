"""What the rules of the warehouse found: read from the audit tables, shown as a page or as JSON."""
