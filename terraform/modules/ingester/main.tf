# A worker pool, not a service: the ingester pulls and serves no requests, so there is no port to probe, its CPU is
# always allocated, and an instance whose process ends is replaced.
resource "google_cloud_run_v2_worker_pool" "this" {
  project             = var.runtime.project
  name                = var.name
  location            = var.runtime.region
  description         = "Moves change events from Pub/Sub into the raw tables."
  launch_stage        = "BETA"
  deletion_protection = var.runtime.deletion_protection
  labels              = var.runtime.labels

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.instances
  }

  template {
    service_account = var.runtime.service_account_email
    labels          = var.runtime.labels

    containers {
      name  = "ingest"
      image = var.runtime.image
      args  = ["run"]

      resources {
        limits = {
          cpu    = var.runtime.limits.cpu
          memory = var.runtime.limits.memory
        }
      }

      dynamic "env" {
        for_each = var.runtime.env

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.runtime.secret_env

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
