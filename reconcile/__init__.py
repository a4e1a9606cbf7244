"""Row-by-row comparison of the warehouse with snapshots on object storage."""
