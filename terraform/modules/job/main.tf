resource "google_cloud_run_v2_job" "this" {
  project             = var.runtime.project
  name                = var.name
  location            = var.runtime.region
  deletion_protection = var.runtime.deletion_protection
  labels              = var.runtime.labels

  template {
    labels      = var.runtime.labels
    task_count  = var.tasks
    parallelism = var.tasks

    template {
      service_account = var.runtime.service_account_email
      timeout         = "${var.timeout_seconds}s"
      max_retries     = var.max_retries

      containers {
        name  = var.name
        image = var.runtime.image
        args  = var.args

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
  }
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  project  = var.runtime.project
  location = var.runtime.region
  name     = google_cloud_run_v2_job.this.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.scheduler_service_account_email}"
}

resource "google_cloud_scheduler_job" "this" {
  project          = var.runtime.project
  region           = var.runtime.region
  name             = var.name
  description      = var.description
  schedule         = var.schedule
  time_zone        = "Etc/UTC"
  paused           = var.paused
  attempt_deadline = "60s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "5s"
    max_backoff_duration = "60s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.runtime.project}/locations/${var.runtime.region}/jobs/${google_cloud_run_v2_job.this.name}:run"

    oauth_token {
      service_account_email = var.scheduler_service_account_email
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}
