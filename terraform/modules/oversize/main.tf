# What fits no row of BigQuery and no message: images of rows over 8 MB, and bodies of dead letters of that size.
resource "google_storage_bucket" "this" {
  project                     = var.project
  name                        = var.name
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  labels                      = var.labels

  # Names are the hashes of what they hold: nothing is ever changed, so there is no former version to keep.
  versioning {
    enabled = false
  }

  # Seven days in which what was deleted by mistake can be had back.
  soft_delete_policy {
    retention_duration_seconds = 7 * 86400
  }

  # Read once, when somebody asks for the row: not worth the price of what is read daily.
  lifecycle_rule {
    condition {
      age = var.cold_after_days
    }

    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
  }

  # An image outlives no raw row that points to it by more than the day on which partitions are dropped. Dead letters
  # have no end of their own, and neither have their bodies.
  dynamic "lifecycle_rule" {
    for_each = var.row_expiration_days[*]

    content {
      condition {
        age            = lifecycle_rule.value + 1
        matches_prefix = ["rows/"]
      }

      action {
        type = "Delete"
      }
    }
  }
}
