# Only the secrets' names are made here. Their values are added by hand (docs/guides/production.md) and so never
# stand in Terraform's state.
locals {
  ingest_secrets = {
    MILLRACE_API_TOKEN = "millrace-api-token"
  }

  # gs:// is read under the job's own account; S3 needs a key of AWS.
  reconcile_secrets = startswith(var.snapshot_uri, "s3://") ? {
    AWS_ACCESS_KEY_ID     = "millrace-aws-access-key-id"
    AWS_SECRET_ACCESS_KEY = "millrace-aws-secret-access-key"
  } : {}
}

resource "google_secret_manager_secret" "this" {
  for_each = merge(local.ingest_secrets, local.reconcile_secrets)

  project             = var.project
  secret_id           = each.value
  deletion_protection = var.deletion_protection
  labels              = local.labels

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}
