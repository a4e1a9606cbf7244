output "name" {
  description = "Name of the job and of its schedule."
  value       = google_cloud_run_v2_job.this.name
}
