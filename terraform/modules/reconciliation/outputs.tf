output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.this.name
}

output "runs_uri" {
  description = "What the tasks must share: their --shards."
  value       = "gs://${google_storage_bucket.this.name}/runs"
}
