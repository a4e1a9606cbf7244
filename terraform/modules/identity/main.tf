resource "google_service_account" "this" {
  project      = var.project
  account_id   = var.account_id
  display_name = "Millrace: ${var.account_id}"
  description  = var.description
}

resource "google_project_iam_member" "this" {
  for_each = var.project_roles

  project = var.project
  role    = each.value
  member  = google_service_account.this.member
}

# A role's name takes no hyphens.
resource "google_project_iam_custom_role" "this" {
  count = length(var.project_permissions) > 0 ? 1 : 0

  project     = var.project
  role_id     = replace(var.account_id, "-", "_")
  title       = "Millrace: ${var.account_id}"
  description = "What no predefined role allows so narrowly."
  permissions = var.project_permissions
}

resource "google_project_iam_member" "own" {
  count = length(var.project_permissions) > 0 ? 1 : 0

  project = var.project
  role    = "projects/${var.project}/roles/${google_project_iam_custom_role.this[0].role_id}"
  member  = google_service_account.this.member
}

resource "google_bigquery_dataset_iam_member" "this" {
  for_each = var.dataset_roles

  project    = var.project
  dataset_id = each.key
  role       = each.value
  member     = google_service_account.this.member
}

resource "google_pubsub_subscription_iam_member" "subscriber" {
  for_each = var.subscriptions

  project      = var.project
  subscription = each.value
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.this.member
}

# A subscriber may pull but not look its subscription up, which the ingester does before it starts.
resource "google_pubsub_subscription_iam_member" "viewer" {
  for_each = var.subscriptions

  project      = var.project
  subscription = each.value
  role         = "roles/pubsub.viewer"
  member       = google_service_account.this.member
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.publish_topics

  project = var.project
  topic   = each.value
  role    = "roles/pubsub.publisher"
  member  = google_service_account.this.member
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = var.bucket_roles

  bucket = each.key
  role   = each.value
  member = google_service_account.this.member
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each = var.secrets

  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}
