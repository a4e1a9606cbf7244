output "email" {
  description = "Address of the service account. Whoever uses it waits for its roles."
  value       = google_service_account.this.email

  depends_on = [
    google_project_iam_member.this,
    google_project_iam_member.own,
    google_bigquery_dataset_iam_member.this,
    google_pubsub_subscription_iam_member.subscriber,
    google_pubsub_subscription_iam_member.viewer,
    google_pubsub_topic_iam_member.publisher,
    google_storage_bucket_iam_member.this,
    google_secret_manager_secret_iam_member.accessor,
  ]
}

output "grants" {
  description = "All that the account may do, for tests and reviews."
  value = sort(concat(
    [for role in var.project_roles : "project ${role}"],
    [for permission in var.project_permissions : "project permission ${permission}"],
    [for dataset, role in var.dataset_roles : "dataset ${dataset} ${role}"],
    [for subscription in values(var.subscriptions) : "subscription ${subscription} roles/pubsub.subscriber"],
    [for subscription in values(var.subscriptions) : "subscription ${subscription} roles/pubsub.viewer"],
    [for topic in values(var.publish_topics) : "topic ${topic} roles/pubsub.publisher"],
    [for bucket, role in var.bucket_roles : "bucket ${bucket} ${role}"],
    [for secret in values(var.secrets) : "secret ${secret} roles/secretmanager.secretAccessor"],
  ))
}
