output "name" {
  description = "Name of the service."
  value       = google_cloud_run_v2_service.this.name
}

output "push_account_email" {
  description = "Account that Pub/Sub signs its requests as; for the subscriptions' oidc_token."
  value       = google_service_account.push.email
}
