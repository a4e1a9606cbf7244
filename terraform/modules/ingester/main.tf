# A worker pool, not a service: the ingester pulls and serves no requests, so there is no port to probe, its CPU is
# always allocated, and an instance whose process ends is replaced.
resource "google_cloud_run_v2_worker_pool" "this" {
  project             = var.project
  name                = var.name
  location            = var.region
  description         = "Moves change events from Pub/Sub into the raw tables."
  launch_stage        = "BETA"
  deletion_protection = var.deletion_protection
  labels              = var.labels

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.instances
  }

  template {
    service_account = var.service_account_email
    labels          = var.labels

    containers {
      name  = "ingest"
      image = var.image
      args  = ["run"]

      resources {
        limits = {
          cpu    = var.limits.cpu
          memory = var.limits.memory
        }
      }

      dynamic "env" {
        for_each = var.env

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secret_env

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
    }
  }

  lifecycle {
    # Google moves the stage on by itself.
    ignore_changes = [launch_stage]
  }
}
