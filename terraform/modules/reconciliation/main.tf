# What the tasks of a reconciliation share: the parts of a run and its reports. All of it can be made again, and what was
# found stands in the audit dataset for years.
resource "google_storage_bucket" "this" {
  project                     = var.project
  name                        = var.name
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels

  versioning {
    enabled = false
  }

  # Differences may hold values of persons, with --values: what is deleted is gone.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age = var.expiration_days
    }

    action {
      type = "Delete"
    }
  }
}
