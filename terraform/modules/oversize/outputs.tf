output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.this.name
}

output "uri" {
  description = "What the ingester's MILLRACE_INGEST_OVERSIZE_URI must be."
  value       = "gs://${google_storage_bucket.this.name}"
}
