"""What earlier runs found, as the audit trail keeps it."""
